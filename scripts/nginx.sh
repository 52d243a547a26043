#!/usr/bin/env bash
# nginx.sh: unpacks nginx with its Lua module into build/nginx and prints the
# command that starts it. It is not installed, because the LuaJIT of that module
# and Debian's luajit exclude each other.
. "$(dirname "$0")/common.sh"

packages=(nginx libnginx-mod-http-lua libnginx-mod-http-ndk lua-resty-core
  lua-resty-lrucache)
# Newer releases use the same LuaJIT for both.
luajit=libluajit2-5.1-2
dir=$PWD/build/nginx
log=$dir/nginx.log

download() {
  if apt_has "$luajit"; then
    packages+=("$luajit")
  fi
  (cd "$dir/packages" && apt-get download "${packages[@]}") >"$log" 2>&1
}

if [ ! -e "$dir/complete" ]; then
  rm -rf "$dir"
  mkdir -p "$dir/packages"
  # An outdated list of packages contains files that no longer exist.
  if ! download && ! { apt-get update && download; } >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "" "nginx could not be downloaded; the whole log: $log"
  fi
  for package in "$dir"/packages/*.deb; do
    quietly "$log" dpkg -x "$package" "$dir/root"
  done
  rm -r "$dir/packages"
  touch "$dir/complete"
fi

lib=$dir/root/usr/lib/$(gcc -dumpmachine)
printf 'env LD_LIBRARY_PATH=%s %s\n' "$lib" "$dir/root/usr/sbin/nginx"
