#!/usr/bin/env bash
# run-tests.sh DIR LUA: runs the C unit tests built in DIR and the specs with
# LUA, and ends with "N passed, N failed" for both together.
. "$(dirname "$0")/common.sh"

dir=$1
lua=$2
# The hosts in the specs: nginx, and a module for what has LuaJIT inside.
scripts/nginx.sh >/dev/null
if [ "$dir" != build/luajit ]; then
  scripts/build.sh build/luajit -DWRENN_LUA=luajit
fi
use_tree "$dir"
passed=0
failed=0

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

printf '\nSpecs (%s)\n' "$lua"
log=$dir/spec.log
status=0
"$lua" "${BUSTED:-/usr/bin/busted}" --output=plainTerminal 2>&1 </dev/null |
  tee "$log" || status=$?
# Its closing line: 9 successes / 0 failures / 0 errors / 0 pending : 1 seconds
counts=$(awk '
  /^[0-9]+ success(es)? \/ [0-9]+ failures? \/ [0-9]+ errors? \// {
    p += $1; f += $4 + $7; ended = 1
  }
  END { print p + 0, f + !ended }' "$log")
read -r spec_passed spec_failed <<<"$counts"
if [ "$status" -ne 0 ] && [ "$spec_failed" -eq 0 ]; then
  spec_failed=1
fi

passed=$((unit_passed + spec_passed))
failed=$((unit_failed + spec_failed))
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
