#!/usr/bin/env bash
# openresty.sh [PORT]: serves examples/openresty on PORT (8080) with Debian's
# nginx, using the server of WRENN_BASE_URL if WRENN_API_KEY is set, else its
# own wrenn-local.
. "$(dirname "$0")/common.sh"

port=${1:-8080}
dir=$PWD/build/openresty/$port
scripts/setup.sh openresty
build_for_luajit
read -ra nginx < <(scripts/nginx.sh)
mkdir -p "$dir"
sed "s/127\.0\.0\.1:8080/127.0.0.1:$port/" examples/openresty/nginx.conf \
  >"$dir/nginx.conf"

use_modules build/luajit
root=$PWD/build/nginx/root/usr
export LUA_PATH="$PWD/examples/openresty/?.lua;$root/share/lua/5.1/?.lua;$LUA_PATH"
globals=
for module in ndk_http_module ngx_http_lua_module; do
  globals+="load_module $root/lib/nginx/modules/$module.so; "
done
if [ "$(id -u)" -eq 0 ]; then
  globals+="user root;" # this tree may be nobody else's to read
fi
nginx+=(-p "$dir" -c "$dir/nginx.conf" -g "$globals")

with=()
if [ -z "${WRENN_API_KEY:-}" ]; then
  scripts/build.sh build
  use_server build
  with=("$WRENN_LOCAL" --)
fi
echo "POST a shell script to http://127.0.0.1:$port/run"
exec "${with[@]}" "${nginx[@]}"
