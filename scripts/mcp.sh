#!/usr/bin/env bash
# mcp.sh: installs the client of the Model Context Protocol's own Python SDK from
# PyPI into build/mcp, and prints that folder, for PYTHONPATH.
. "$(dirname "$0")/common.sh"

dir=$PWD/build/mcp
version=2.3.0
mkdir -p build
exec 9>"$dir.lock"
flock 9
if [ ! -e "$dir/complete-$version" ]; then
  rm -rf "$dir"
  mkdir "$dir"
  if ! PIP_DISABLE_PIP_VERSION_CHECK=1 timeout 180 python3 -m pip install -q \
    --only-binary=:all: --retries 3 --timeout 15 --no-compile --target "$dir" \
    "mcp==$version" >"$dir/install.log" 2>&1 </dev/null; then
    tail -n 1 "$dir/install.log" >&2
    die "mcp $version could not be fetched from PyPI; see $dir/install.log"
  fi
  touch "$dir/complete-$version"
fi
echo "$dir"
