#!/usr/bin/env bash
# test.sh [LUA]: builds and runs every test, on Lua 5.4 unless told otherwise.
. "$(dirname "$0")/common.sh"

lua=${1:-5.4}
case $lua in
5.4) dir=build program=lua5.4 packages=test ;;
5.1 | 5.3) dir=build/lua$lua program=lua$lua packages=dev ;;
luajit) dir=build/luajit program=luajit packages=dev ;;
*) die "LUA is 5.1, 5.3, 5.4 or luajit, not '$lua'" ;;
esac

scripts/setup.sh "$packages"
scripts/build.sh "$dir" -DWRENN_LUA="$lua"
exec scripts/run-tests.sh "$dir" "$program"
