#!/usr/bin/env bash
# tsan.sh [SPEC...]: specs of what has threads (the relay, name look-ups, the
# local server's copies) under ThreadSanitizer. It is slow, so specs that
# measure time may fail: only the sanitizer's reports count.
. "$(dirname "$0")/common.sh"

dir=build/tsan
bin=$PWD/$dir/bin
scripts/setup.sh test
mkdir -p "$bin"
# The sanitizer loses a signal that comes while a program waits for the first
# time, so that a server would never end: each waits once as it begins.
gcc -c -o "$bin/wait-once.o" -x c - <<'END'
#include <unistd.h>
__attribute__((constructor)) static void wait_once(void) { usleep(1); }
END
scripts/build.sh "$dir" -DWRENN_LUA=5.4 -DWRENN_TESTS=ON \
  -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O1 -g" \
  -DCMAKE_C_FLAGS="-fsanitize=thread" \
  -DCMAKE_MODULE_LINKER_FLAGS="-fsanitize=thread" \
  -DCMAKE_EXE_LINKER_FLAGS="-fsanitize=thread $bin/wait-once.o" \
  -DCMAKE_SHARED_LINKER_FLAGS="-fsanitize=thread"
use_tree "$dir"

# Lua itself is not built with the sanitizer: its library is preloaded, for Lua
# and for nothing that Lua starts.
reports=$PWD/$dir/reports
rm -rf "$reports"
mkdir -p "$reports"
gcc -shared -fPIC -o "$bin/wrenn-alone.so" -x c - <<'END'
#include <stdlib.h>
__attribute__((constructor)) static void alone(void) { unsetenv("LD_PRELOAD"); }
END
tsan=$(realpath "$(gcc -print-file-name=libtsan.so)")
cat >"$bin/lua5.4" <<END
#!/bin/sh
export LD_PRELOAD="$tsan $bin/wrenn-alone.so"
exec "$(command -v lua5.4)" "\$@"
END
chmod +x "$bin/lua5.4"
WRENN_PEER_LUA=$(command -v lua5.4)
export WRENN_PEER_LUA WRENN_SPEC_LUA=$bin/lua5.4
export TSAN_OPTIONS="log_path='$reports/tsan':exitcode=0"
TSAN_OPTIONS+=":suppressions='$PWD/scripts/tsan.supp':print_suppressions=0"

if [ $# -eq 0 ]; then
  set -- spec/{relay,snapshots,local_snapshots}_spec.lua
fi
passed=0
for test in "$dir"/spec/c/api_test "$dir"/local/spec/copy_test; do
  "$test" | tail -n 1
  passed=$((passed + 1))
done
for spec in "$@"; do
  printf '%s: ' "$spec"
  timeout -k 10 300 "$WRENN_SPEC_LUA" /usr/bin/busted \
    -o spec/support/report.lua "$spec" >"$reports/.log" 2>&1 </dev/null ||
    grep '^FAILED' "$reports/.log" || :
  tail -n 1 "$reports/.log"
  passed=$((passed + 1))
done
if [ -n "$(ls "$reports")" ]; then
  cat "$reports"/*
  die "" "The sanitizer had something to report: $dir/reports"
fi
printf '%d passed, 0 failed\n' "$passed"
