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

# The version of this tree.
version() {
  sed -n 's/^#define WRENN_VERSION "\(.*\)"$/\1/p' src/wrenn.h
}

# The counts of a log's closing line: passed, failed, and skipped if any were.
last_counts() {
  sed -nE 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4/p' \
    "$1" | tail -n 1
}

# Where Lua finds the modules of this tree, for programs built in DIR, and
# which walls the server built there puts up: none where it can have none.
use_tree() {
  local dir=$1
  export LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;;"
  export LUA_CPATH="$PWD/$dir/?.so;;"
  export WRENN_LOCAL="$PWD/$dir/local/wrenn-local"
  if [ -z "${WRENN_LOCAL_ISOLATION:-}" ] &&
    ! "$WRENN_LOCAL" -- true >/dev/null 2>&1; then
    export WRENN_LOCAL_ISOLATION=none
    echo "No walls: this system lets bubblewrap make no namespaces, so the" \
      "capsules run with --isolation none."
  fi
}
