#!/usr/bin/env bash
# newest.sh [libraries]: builds the versions of libuv and libcurl in the newest
# crates, which distributions will have next, and runs the specs of the core
# with them. The libraries are built once, in build/newest; with "libraries"
# nothing else is done.
. "$(dirname "$0")/common.sh"

scripts/setup.sh dev
dir=$PWD/build/newest

# install NAME SOURCE [CMAKE-OPTION...]
install() {
  local name=$1 source=$2
  shift 2
  quietly "$dir/$name.log" cmake -S "$source" -B "$dir/$name" \
    -DCMAKE_INSTALL_PREFIX="$dir/installed" -DCMAKE_INSTALL_LIBDIR=lib "$@"
  quietly "$dir/$name.log" cmake --build "$dir/$name" -j "$(nproc)"
  quietly "$dir/$name.log" cmake --install "$dir/$name"
}

libraries() {
  local curl=$dir/crates/vendor/curl-sys/curl
  mkdir -p "$dir/crates"
  cat >"$dir/crates/Cargo.toml" <<'END'
[package]
name = "newest"
version = "0.0.0"
[lib]
path = "lib.rs"
[dependencies]
curl-sys = "0.4"
libuv-sys2 = "1"
END
  touch "$dir/crates/lib.rs"
  (cd "$dir/crates" && quietly "$dir/log" persistently cargo vendor vendor)
  # The crate lacks files that CMake expects but the library does not need.
  mkdir -p "$curl/docs/examples" "$curl/scripts"
  touch "$curl/docs/CMakeLists.txt" "$curl/docs/examples/CMakeLists.txt" \
    "$curl/scripts/CMakeLists.txt"
  install uv "$dir/crates/vendor/libuv-sys2/libuv" -DBUILD_TESTING=OFF
  install curl "$curl" -DBUILD_CURL_EXE=OFF -DCMAKE_UNITY_BUILD=ON \
    -DHTTP_ONLY=ON -DBUILD_TESTING=OFF -DENABLE_WEBSOCKETS=ON \
    -DCURL_USE_LIBPSL=OFF -DCURL_USE_LIBSSH2=OFF -DBUILD_LIBCURL_DOCS=OFF \
    -DBUILD_MISC_DOCS=OFF -DENABLE_CURL_MANUAL=OFF
  touch "$dir/complete"
}

[ -e "$dir/complete" ] || libraries
export PKG_CONFIG_PATH=$dir/installed/lib/pkgconfig
export LD_LIBRARY_PATH=$dir/installed/lib
printf 'libuv %s, libcurl %s\n' "$(pkg-config --modversion libuv)" \
  "$(pkg-config --modversion libcurl)"
[ "${1:-}" != libraries ] || exit 0

scripts/build.sh build/newest/wrenn -DWRENN_LUA=5.4
WRENN_SPEC_FILES=$(echo spec/core*_spec.lua) # and what waits in streams
WRENN_SPEC_FILES+=" spec/stream_spec.lua $(echo spec/pty*_spec.lua)"
export WRENN_SPEC_FILES
exec scripts/run-tests.sh build/newest/wrenn lua5.4
