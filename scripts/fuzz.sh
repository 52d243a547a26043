#!/usr/bin/env bash
# fuzz.sh [SECONDS]: runs each fuzzer for a time (20), as many at once as there
# are processors. Failing inputs are kept in build/fuzz/found; to repeat one:
#   build/fuzz/spec/c/fuzz_frame FILE
#   lua5.4 spec/fuzz/main.lua sse 0 . FILE
. "$(dirname "$0")/common.sh"

limit=${1:-20}
dir=build/fuzz
scripts/setup.sh fuzz
WRENN_TARGET=fuzzers CC=clang scripts/build.sh "$dir" -DWRENN_FUZZ=ON
scripts/build.sh build
use_tree build
found=$dir/found
mkdir -p "$found"

# fuzz_c PROGRAM LOG: prints how many inputs it has run.
fuzz_c() {
  local name corpus
  name=$(basename "$1")
  corpus=$dir/corpus/$name
  mkdir -p "$corpus"
  cp spec/c/corpus/"$name"/* "$corpus"
  timeout -k 10 $((limit + 60)) "$1" -max_total_time="$limit" \
    -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$found/$name-" "$corpus" >"$2" 2>&1 </dev/null &&
    sed -n 's/^stat::number_of_executed_units: *//p' "$2"
}

fuzz_lua() {
  timeout -k 10 $((limit + 60)) lua5.4 spec/fuzz/main.lua "$1" "$limit" \
    "$found" >"$2" 2>&1 </dev/null && sed -n 's/^\([0-9]*\) runs.*/\1/p' "$2"
}

# run HOW NAME TARGET: a line, and the counts for it in a file.
run() {
  local runs log=$dir/$2.log
  if runs=$("$1" "$3" "$log"); then
    printf '  %-18s %12s runs\n' "$2" "$runs"
    echo "1 0" >"$dir/$2.counts"
  else
    tail -n 40 "$log"
    printf '  %-18s FAILED\n' "$2"
    echo "0 1" >"$dir/$2.counts"
  fi
}

rm -f "$dir"/*.counts
while read -r how name target; do
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
    wait -n || :
  done
  run "$how" "$name" "$target" &
done < <(
  find "$dir" -type f -name 'fuzz_*' -perm -u+x ! -name '*.log' | sort |
    sed 's,.*/\(.*\),fuzz_c \1 &,'
  for target in git sse tar watch; do
    echo "fuzz_lua lua_$target $target"
  done
)
wait

read -r passed failed < <(cat "$dir"/*.counts |
  awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
