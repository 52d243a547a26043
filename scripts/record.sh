#!/usr/bin/env bash
# record.sh neovim|cli [FILE]: records docs/neovim.svg or docs/cli.svg, or FILE,
# from a headless run of nvim against a server of its own.
. "$(dirname "$0")/common.sh"

what=${1:?"usage: scripts/record.sh neovim|cli [FILE]"}
file=${2:-docs/$what.svg}
scripts/setup.sh test
scripts/build.sh build
build_for_luajit
use_modules build/luajit
use_server build
export WRENN_SCREEN=$file
exec "$WRENN_LOCAL" -- nvim --headless -u NONE -i NONE \
  -c "luafile scripts/record/$what.lua" </dev/null
