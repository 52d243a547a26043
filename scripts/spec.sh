#!/usr/bin/env bash
# spec.sh LUA FILE...: builds, and runs these spec files alone.
. "$(dirname "$0")/common.sh"

lua=$1
shift
[ "$#" -gt 0 ] || die "usage: make spec FILE=spec/pty_spec.lua [LUA=5.1]"
for file in "$@"; do
  [ -f "$file" ] || die "There is no spec file $file."
done
export WRENN_SPEC_FILES="$*"
exec scripts/test.sh "$lua"
