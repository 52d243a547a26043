#!/usr/bin/env bash
# valgrind.sh [SPEC...]: specs with valgrind's memcheck around Lua and
# wrenn-local, and the C unit tests. It is slow, so tests that measure time may
# fail: only valgrind's reports count.
. "$(dirname "$0")/common.sh"

dir=build
command -v valgrind >/dev/null || die "Install valgrind first."
scripts/build.sh "$dir" -DWRENN_LUA=5.4
use_tree "$dir"

# Each process writes its own file, so that those without a reader are seen.
reports=$PWD/$dir/valgrind
rm -rf "$reports"
mkdir -p "$reports"
check=(valgrind -q --leak-check=full --show-leak-kinds=definite
  --errors-for-leak-kinds=definite --num-callers=30
  "--suppressions=$PWD/scripts/valgrind.supp"
  --log-file="$reports/%n.%p")

wrap() {
  printf '#!/bin/sh\nexec %s "%s" "$@"\n' \
    "$(printf '%q ' "${check[@]//%n/$1}")" "$2" >"$reports/.$1"
  chmod +x "$reports/.$1"
}
wrap lua "$(command -v lua5.4)"
wrap wrenn-local "$WRENN_LOCAL"
WRENN_PEER_LUA=$(command -v lua5.4)
export WRENN_PEER_LUA WRENN_SPEC_LUA=$reports/.lua
export WRENN_LOCAL=$reports/.wrenn-local
export WRENN_AGENT=$PWD/$dir/local/wrenn-agent

if [ $# -eq 0 ]; then
  set -- spec/{core,core_ws,stream,pty,transfer,task}_spec.lua
fi
for test in "$dir"/spec/c/*_test "$dir"/local/spec/*_test; do
  "${check[@]//%n/$(basename "$test")}" "$test" | tail -n 1
done
for spec in "$@"; do
  printf '%s: ' "$spec"
  "$WRENN_SPEC_LUA" /usr/bin/busted -o spec/support/report.lua "$spec" \
    >"$reports/.log" 2>&1 </dev/null || grep '^FAILED' "$reports/.log" || :
  tail -n 1 "$reports/.log"
done
find "$reports" -type f -empty -delete
if [ -n "$(ls "$reports")" ]; then
  cat "$reports"/*
  die "" "Valgrind had something to report: $dir/valgrind"
fi
