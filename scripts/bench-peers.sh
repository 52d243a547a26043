#!/usr/bin/env bash
# bench-peers.sh: the rows of bench.sh for other clients. See
# bench/peers/README.md. Downloads their packages; not part of the gate.
. "$(dirname "$0")/common.sh"

scripts/setup.sh dev
scripts/build.sh build
scripts/build.sh build/lua5.1 -DWRENN_LUA=5.1
use_tree build
dir=$PWD/build/peers
mkdir -p "$dir"
peers=("Lua 5.4=lua5.4 bench/peers/wrenn.lua"
  "LuaJIT=env LUA_CPATH='$PWD/build/lua5.1/?.so;;' luajit bench/peers/wrenn.lua")

# missing NAME WHY: a column that cannot be had.
missing() { printf 'Left out: %s (%s)\n' "$1" "$2"; }

if command -v npm >/dev/null; then
  cp bench/peers/node.mjs "$dir"
  quietly "$dir/npm.log" npm --prefix "$dir" install ws undici
  peers+=("node=node $dir/node.mjs")
else
  missing node "npm is not there"
fi
for python in python3.14 python3.13 python3; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 13))' \
    2>/dev/null && break
  python=
done
if [ -n "$python" ]; then
  quietly "$dir/venv.log" "$python" -m venv "$dir/venv"
  quietly "$dir/pip.log" "$dir/venv/bin/pip" install websockets wrenn
  peers+=("websockets=$dir/venv/bin/python bench/peers/websockets_peer.py"
    "Python SDK=$dir/venv/bin/python bench/peers/sdk_peer.py")
else
  missing "websockets, Python SDK" "Python 3.13 is not there"
fi
if command -v go >/dev/null; then
  mkdir -p "$dir/go"
  cp bench/peers/go/main.go "$dir/go"
  (
    cd "$dir/go"
    [ -e go.mod ] || quietly "$dir/go.log" go mod init peer
    quietly "$dir/go.log" go get github.com/coder/websocket
    quietly "$dir/go.log" go build -o peer .
  )
  peers+=("Go=$dir/go/peer")
else
  missing Go "go is not there"
fi
exec "$WRENN_LOCAL" -- lua5.4 bench/peers/run.lua build/bench "${peers[@]}"
