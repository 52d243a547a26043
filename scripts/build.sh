#!/usr/bin/env bash
# build.sh DIR [CMAKE-OPTION...]: configures and builds the tree in DIR. With
# WRENN_WERROR=ON in the environment the compiler's warnings are errors; with
# WRENN_TARGET only these targets are built.
. "$(dirname "$0")/common.sh"

dir=$1
shift

# CMake rejects a cache from another place: this tree has been moved.
cache=$dir/CMakeCache.txt
if [ -f "$cache" ] &&
  ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$cache"; then
  rm -rf "$dir"
fi

printf 'Building in %s ...\n' "$dir"
quietly "$dir/configure.log" cmake -S . -B "$dir" \
  -DWRENN_WERROR="${WRENN_WERROR:-OFF}" "$@"
# shellcheck disable=SC2086 # targets are words
quietly "$dir/build.log" cmake --build "$dir" -j "$(nproc)" \
  ${WRENN_TARGET:+--target $WRENN_TARGET}
