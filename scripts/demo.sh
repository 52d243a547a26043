#!/usr/bin/env bash
# demo.sh: builds, and runs the quickstart against a server of its own.
. "$(dirname "$0")/common.sh"

scripts/setup.sh demo
scripts/build.sh build
use_tree build
echo
exec "$WRENN_LOCAL" -- lua5.4 examples/quickstart.lua
