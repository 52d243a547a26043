#!/usr/bin/env bash
# fuzz.sh [SECONDS]: runs each fuzzer for a time (20). Failing inputs are kept
# in build/fuzz/found; to repeat one: build/fuzz/spec/c/fuzz_frame FILE.
. "$(dirname "$0")/common.sh"

limit=${1:-20}
dir=build/fuzz
scripts/setup.sh fuzz
CC=clang scripts/build.sh "$dir" -DWRENN_FUZZ=ON
found=$dir/found
mkdir -p "$found"

passed=0
failed=0
while read -r program; do
  name=$(basename "$program")
  corpus=$dir/corpus/$name
  mkdir -p "$corpus"
  if [ -d "spec/c/corpus/$name" ]; then
    cp spec/c/corpus/"$name"/* "$corpus"
  fi
  if timeout -k 10 $((limit + 60)) "$program" -max_total_time="$limit" \
    -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$found/$name-" "$corpus" \
    >"$dir/$name.log" 2>&1 </dev/null; then
    passed=$((passed + 1))
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/$name.log")
    printf '  %-18s %12s runs\n' "$name" "$runs"
  else
    failed=$((failed + 1))
    tail -n 40 "$dir/$name.log"
    printf '  %-18s FAILED\n' "$name"
  fi
done < <(find "$dir" -type f -name 'fuzz_*' -perm -u+x ! -name '*.log' | sort)

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
