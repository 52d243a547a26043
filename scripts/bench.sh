#!/usr/bin/env bash
# bench.sh: the cost of the library on Lua 5.4 and LuaJIT, and a thousand
# capsules in one process. See bench/run.lua and bench/scale.lua.
. "$(dirname "$0")/common.sh"

scripts/setup.sh dev
scripts/build.sh build
scripts/build.sh build/lua5.1 -DWRENN_LUA=5.1
use_tree build
"$WRENN_LOCAL" -- lua5.4 bench/run.lua build/bench
echo
LUA_CPATH="$PWD/build/lua5.1/?.so;;" "$WRENN_LOCAL" -- \
  luajit bench/run.lua build/bench
echo
ulimit -n "$(ulimit -Hn)"
exec "$WRENN_LOCAL" --isolation none -- lua5.4 bench/scale.lua
