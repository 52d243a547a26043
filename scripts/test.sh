#!/usr/bin/env bash
# test.sh [LUA]: builds, and runs every test on Lua 5.4, or those for which it
# matters on another LUA. The server is the same for all.
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
scripts/build.sh build -DWRENN_LUA=5.4
if [ "$dir" != build ]; then
  WRENN_TARGET="wrenn_core spec_system" \
    scripts/build.sh "$dir" -DWRENN_LUA="$version"
fi
exec scripts/run-tests.sh "$dir" "$program" build
