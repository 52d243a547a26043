#!/usr/bin/env bash
# build.sh DIR [CMAKE-OPTION...]: configures and builds the tree in DIR. With
# WRENN_WERROR=ON in the environment the compiler's warnings are errors; with
# WRENN_TARGET only these targets are built.
. "$(dirname "$0")/common.sh"

dir=$1
shift

# Where ninja is installed: it knows at once that there is nothing to do.
generator="Unix Makefiles"
if command -v ninja >/dev/null; then
  generator=Ninja
fi

# CMake rejects a cache from another place (this tree has been moved), or of
# another generator.
cache=$dir/CMakeCache.txt
if [ -f "$cache" ] &&
  ! { grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$cache" &&
    grep -qxF "CMAKE_GENERATOR:INTERNAL=$generator" "$cache"; }; then
  rm -rf "$dir"
fi

printf 'Building in %s ...\n' "$dir"
quietly "$dir/configure.log" cmake -S . -B "$dir" -G "$generator" \
  -DWRENN_WERROR="${WRENN_WERROR:-OFF}" "$@"
# shellcheck disable=SC2086 # targets are words
quietly "$dir/build.log" cmake --build "$dir" -j "$(nproc)" \
  ${WRENN_TARGET:+--target $WRENN_TARGET}
