#!/usr/bin/env bash
# record-neovim.sh [FILE]: records docs/neovim.svg, or FILE, from a headless
# run of nvim against a server of its own.
. "$(dirname "$0")/common.sh"

file=${1:-docs/neovim.svg}
scripts/setup.sh test
scripts/build.sh build
build_for_luajit
use_modules build/luajit
use_server build
export WRENN_SCREEN=$file
exec "$WRENN_LOCAL" -- nvim --headless -u NONE -i NONE \
  -c 'luafile scripts/record/neovim.lua' </dev/null
