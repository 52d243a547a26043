#!/usr/bin/env bash
# nginx.sh: unpacks nginx with its Lua module into build/nginx and prints the
# command that starts it. It is not installed, because the LuaJIT of that module
# and Debian's luajit exclude each other.
. "$(dirname "$0")/common.sh"

packages=(nginx libnginx-mod-http-lua libnginx-mod-http-ndk lua-resty-core
  lua-resty-lrucache)
# Newer releases use the same LuaJIT for both, and install the libpcre that
# nginx wants with the system.
if_there=(libluajit2-5.1-2 libpcre3)
dir=$PWD/build/nginx
log=$dir/nginx.log

# Whether apt can install a package: it also knows names without a package.
apt_has() {
  [[ $(LC_ALL=C apt-cache policy "$1" 2>/dev/null) =~ Candidate:\ [^\(] ]]
}

download() {
  local package all=("${packages[@]}")
  for package in "${if_there[@]}"; do
    if apt_has "$package"; then
      all+=("$package")
    fi
  done
  (cd "$dir/packages" && apt-get -o Acquire::Retries=5 download "${all[@]}")
}

# An outdated list of packages contains files that no longer exist.
update_and_download() {
  apt-get -o Acquire::Retries=5 update && download
}

if [ ! -e "$dir/complete" ]; then
  rm -rf "$dir"
  mkdir -p "$dir/packages"
  if ! download >"$log" 2>&1 &&
    ! persistently update_and_download >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "" "nginx could not be downloaded; the whole log: $log"
  fi
  for package in "$dir"/packages/*.deb; do
    quietly "$log" dpkg -x "$package" "$dir/root"
  done
  rm -r "$dir/packages"
  touch "$dir/complete"
fi

machine=$(gcc -dumpmachine)
printf 'env LD_LIBRARY_PATH=%s:%s %s\n' "$dir/root/usr/lib/$machine" \
  "$dir/root/lib/$machine" "$dir/root/usr/sbin/nginx"
