#!/usr/bin/env bash
# bench.sh: what the library costs over the bare thing, and a thousand capsules
# in one process. See bench/run.lua and bench/scale.lua.
. "$(dirname "$0")/common.sh"

scripts/setup.sh demo
scripts/build.sh build
use_tree build
"$WRENN_LOCAL" -- lua5.4 bench/run.lua build/bench
echo
ulimit -n "$(ulimit -Hn)"
exec "$WRENN_LOCAL" --isolation none -- lua5.4 bench/scale.lua
