#!/usr/bin/env bash
# asan.sh: the tests of the module and of wrenn-local with AddressSanitizer,
# LeakSanitizer and UBSan, and the unit tests.
. "$(dirname "$0")/common.sh"

dir=build/asan
scripts/setup.sh test
scripts/build.sh "$dir" -DWRENN_SANITIZE=ON -DWRENN_LUA=5.4 \
  -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O1 -g"

# Lua itself is not built with the sanitizer, so its library is preloaded,
# together with a library that removes it from the environment again: other
# programs that tests start would not pass the sanitizer's checks.
bin=$PWD/$dir/bin
mkdir -p "$bin"
gcc -shared -fPIC -o "$bin/wrenn-alone.so" -x c - <<'END'
#include <stdlib.h>
__attribute__((constructor)) static void alone(void) {
  unsetenv("LD_PRELOAD");
  unsetenv("LD_LIBRARY_PATH");
}
END
asan=$(basename "$(realpath "$(gcc -print-file-name=libasan.so)")")
cat >"$bin/lua5.4" <<END
#!/bin/sh
export LD_LIBRARY_PATH="$bin" LD_PRELOAD="$asan wrenn-alone.so \${LD_PRELOAD:-}"
exec "$(command -v lua5.4)" "\$@"
END
chmod +x "$bin/lua5.4"
WRENN_PEER_LUA=$(command -v lua5.4)
export WRENN_PEER_LUA PATH=$bin:$PATH

# Reports go to files, so that those of processes without a reader are seen.
reports=$PWD/$dir/reports
rm -rf "$reports"
mkdir -p "$reports"
export ASAN_OPTIONS="log_path='$reports/asan':detect_stack_use_after_return=1"
export UBSAN_OPTIONS="log_path='$reports/ubsan':print_stacktrace=1"
# A leak found at the very end must not suppress the output: reports suffice.
export LSAN_OPTIONS="suppressions='$PWD/scripts/lsan.supp':exitcode=0"
LSAN_OPTIONS+=":print_suppressions=0"

status=0
WRENN_SANITIZED=yes scripts/run-tests.sh "$dir" lua5.4 || status=$?
if [ -n "$(ls "$reports")" ]; then
  cat "$reports"/*
  die "" "The sanitizers had something to report: $dir/reports"
fi
exit "$status"
