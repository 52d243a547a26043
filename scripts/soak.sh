#!/usr/bin/env bash
# soak.sh [MINUTES]: mixed load for that long (10), and its figures.
. "$(dirname "$0")/common.sh"

scripts/setup.sh test
scripts/build.sh build -DWRENN_LUA=5.4
use_tree build
exec lua5.4 spec/soak/main.lua "${1:-10}"
