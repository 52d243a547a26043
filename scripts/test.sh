#!/usr/bin/env bash
# test.sh [LUA]: builds and runs every test, on Lua 5.4 unless told otherwise.
. "$(dirname "$0")/common.sh"

lua=${1:-5.4}
case $lua in
5.4) dir=build version=5.4 program=lua5.4 packages=test ;;
5.1 | 5.3) dir=build/lua$lua version=$lua program=lua$lua packages=dev ;;
# LuaJIT loads the very file that was built for Lua 5.1.
luajit) dir=build/lua5.1 version=5.1 program=luajit packages=dev ;;
*) die "LUA is 5.1, 5.3, 5.4 or luajit, not '$lua'" ;;
esac

scripts/setup.sh "$packages"
scripts/build.sh "$dir" -DWRENN_LUA="$version"
exec scripts/run-tests.sh "$dir" "$program"
