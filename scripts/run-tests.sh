#!/usr/bin/env bash
# run-tests.sh DIR LUA [SERVER]: runs the C unit tests built in DIR and the specs
# with LUA, and ends with "N passed, N failed" for both together, with
# ", N skipped" where some were. wrenn-local and other programs are those built
# in SERVER (DIR if absent). WRENN_SPEC_FILES names spec files to run alone.
#
# A spec file's place follows from its name and its head:
#   spec/local_*     about wrenn-local alone: on Lua 5.4, as the C unit tests
#   -- Any Lua       in its head: it is not about the Lua that runs it: on 5.4
#   spec/cli_*       a program of its own: on Lua 5.4, and 5.1, which has least
#   -- Not sanitized in its head: not with the sanitizers
#   -- Takes long    in its head: begins first
#   -- Alone         in its head: the machine is slow meanwhile, so it begins
#                    when all others have ended
# All others run on every Lua, but in all generations of the API on Lua 5.4: the
# others have the oldest, the newest, and one between each.
. "$(dirname "$0")/common.sh"

dir=$1
lua=$2
# For the hosts in the specs: nginx, and what those with LuaJIT inside load.
scripts/nginx.sh >/dev/null
build_for_luajit
use_modules "$dir"
use_server "${3:-$dir}"

unit_tests() {
  printf '\nC unit tests\n'
  log=$dir/unit.log
  status=0
  ctest --test-dir "$dir" --verbose --timeout 300 >"$log" 2>&1 </dev/null || status=$?
  # A program counts by its own closing line; one that ended without it, or
  # says it passed and exits otherwise, counts as one.
  counts=$(awk '
    /^test [0-9]+$/ { id = $2 }
    match($0, /^[0-9]+: [0-9]+ passed, [0-9]+ failed$/) {
      id = $1 + 0; passed[id] += $2; failed[id] += $4; counted[id] = 1
    }
    / Test +#[0-9]+: / {
      id = $0; sub(/.*#/, "", id); id += 0
      ok = $0 ~ / Passed /
      if (ok && !counted[id]) passed[id] = 1
      if (!ok && !failed[id]) failed[id] = 1
    }
    END {
      for (id in passed) p += passed[id]
      for (id in failed) f += failed[id]
      print p + 0, f + 0
    }' "$log")
  read -r unit_passed unit_failed <<<"$counts"
  if [ "$status" -ne 0 ] && [ "$unit_failed" -eq 0 ]; then
    unit_failed=1
  fi
  if [ "$unit_failed" -gt 0 ]; then
    tail -n 100 "$log"
  fi
  printf '%d passed, %d failed\n' "$unit_passed" "$unit_failed"
}

unit_passed=0
unit_failed=0
if [ -z "${WRENN_SPEC_FILES:-}" ] && [ "$lua" = lua5.4 ]; then
  unit_tests
fi

# Each spec file is a process of its own with a time limit: a hang is a failure
# of that file, and its log ends with the test that hung.
spec_limit=${SPEC_LIMIT:-900}
logs=$dir/specs
rm -rf "$logs"
mkdir -p "$logs"
helper=()
if [ -n "${GC:-}" ]; then
  helper=(--helper=spec/support/gc.lua)
fi
export WRENN_SPEC_LUA=$lua

run_spec() {
  local file=$1 name log status=0 started=$SECONDS passed failed skipped
  name=$(basename "$file" .lua)
  log=$logs/$name.log
  timeout -k 10 "$spec_limit" "$lua" "${BUSTED:-/usr/bin/busted}" \
    "${helper[@]}" -o spec/support/report.lua "$file" \
    >"$log" 2>&1 </dev/null || status=$?
  read -r passed failed skipped < <(last_counts "$log") || :
  if [ "$status" -ge 124 ] || [ -z "${failed:-}" ]; then
    printf '\n%s ended with %d, in:\n' "$name" "$status"
    tail -n 5 "$log"
    failed=1
  elif [ "$status" -ne 0 ]; then
    sed -n '/^FAILED /,$p' "$log"
    failed=$((failed > 0 ? failed : 1))
  fi
  sed -n '/^SKIPPED /p' "$log"
  printf '%d %d %d\n' "${passed:-0}" "$failed" "${skipped:-0}" \
    >"$logs/$name.counts"
  times >"$logs/$name.times"
  printf '  %-28s %4d passed %3d failed %4d s %4d s computing\n' "$name" \
    "${passed:-0}" "$failed" "$((SECONDS - started))" \
    "$(computed "$logs/$name.times")"
}

printf '\nSpecs (%s)\n' "$lua"
read -r -a files <<<"${WRENN_SPEC_FILES:-$(echo spec/*_spec.lua)}"
if [ -z "${WRENN_SPEC_FILES:-}" ] && [ "$lua" != lua5.4 ]; then
  case $lua in
  lua5.1) elsewhere='local_' between=0.2.2 ;;
  lua5.3) elsewhere='local_|cli_' between=0.2 ;;
  *) elsewhere='local_|cli_' between=0.3 ;;
  esac
  export WRENN_SPEC_GENERATIONS=" 0.1 $between 0.4 "
  mapfile -t files < <(printf '%s\n' "${files[@]}" |
    grep -vE "^spec/($elsewhere)" | xargs grep -L '^-- Any Lua')
fi
if [ -z "${WRENN_SPEC_FILES:-}" ] && [ -n "${WRENN_SANITIZED:-}" ]; then
  mapfile -t files < <(grep -L '^-- Not sanitized' "${files[@]}")
fi
mapfile -t alone < <(grep -l '^-- Alone' "${files[@]}" || :)
mapfile -t files < <(grep -l '^-- Takes long' "${files[@]}" || :
  grep -LE '^-- (Takes long|Alone)' "${files[@]}" || :)
for file in "${files[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-10}" ]; do
    wait -n || :
  done
  run_spec "$file" &
done
wait
for file in "${alone[@]}"; do
  run_spec "$file"
done
read -r spec_passed spec_failed spec_skipped < <(cat "$logs"/*.counts |
  awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }')

passed=$((unit_passed + spec_passed))
failed=$((unit_failed + spec_failed))
printf '\n%d passed, %d failed' "$passed" "$failed"
if [ "$spec_skipped" -gt 0 ]; then
  printf ', %d skipped' "$spec_skipped"
fi
echo
[ "$failed" -eq 0 ] && [ "$spec_passed" -gt 0 ]
