#!/usr/bin/env bash
# mcp.sh python|inspector: installs a client of the Model Context Protocol into
# build/mcp and prints its folder: that of the protocol's own Python SDK, from
# PyPI, for PYTHONPATH; or the inspector, from npm, where npm is.
. "$(dirname "$0")/common.sh"

what=$1
dir=$PWD/build/mcp/$what
mkdir -p build/mcp
exec 9>"$dir.lock"
flock 9

fetch_python() {
  PIP_DISABLE_PIP_VERSION_CHECK=1 timeout 180 python3 -m pip install -q \
    --only-binary=:all: --retries 3 --timeout 15 --no-compile --target "$dir" \
    mcp==2.3.0
}

# The date settles the versions of what it depends on.
fetch_inspector() {
  timeout 180 npm install --prefix "$dir" --no-audit --no-fund \
    --ignore-scripts --loglevel=error --before=2025-09-01 \
    @modelcontextprotocol/inspector-cli@0.15.0
}

if [ ! -e "$dir/complete" ]; then
  rm -rf "$dir"
  mkdir "$dir"
  if ! "fetch_$what" >"$dir/install.log" 2>&1 </dev/null; then
    tail -n 1 "$dir/install.log" >&2
    die "MCP's $what client could not be fetched; see $dir/install.log"
  fi
  touch "$dir/complete"
fi
echo "$dir"
