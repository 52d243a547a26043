#!/usr/bin/env bash
# portability.sh: compiles the client for the systems that it is meant for, and
# the local server for other Linuxes, with zig's C compiler, which PyPI has. It
# compares the code with the systems' headers and links and runs nothing.
. "$(dirname "$0")/common.sh"

version=0.17.1
dir=$PWD/build/portability
log=$dir/log
zig=$dir/ziglang/zig
mkdir -p "$dir"

if [ ! -e "$dir/complete-$version" ]; then
  PIP_DISABLE_PIP_VERSION_CHECK=1 quietly "$log" python3 -m pip download -q \
    --no-deps --only-binary=:all: -d "$dir" "ziglang==$version"
  quietly "$log" python3 -m zipfile -e "$dir"/ziglang-*.whl "$dir"
  rm "$dir"/*.whl
  chmod +x "$zig"
  touch "$dir/complete-$version"
fi

# The headers of the libraries, without those of this system's C library.
headers=$dir/include
rm -rf "$headers"
mkdir -p "$headers"
arch=$(gcc -print-multiarch)
for name in uv.h uv http_parser.h wslay zlib.h zconf.h lua5.4 openssl curl; do
  for place in "/usr/include/$arch" /usr/include; do
    [ ! -e "$place/$name" ] || cp -rL "$place/$name" "$headers/"
  done
done

client=(src/*.c src/lua/*.c)
server=(local/{,*/}*.c)
drop() { printf '%s\n' "${@:2}" | grep -v "$1"; }
mapfile -t for_linux < <(drop system_bsd "${client[@]}")
mapfile -t for_bsd < <(drop system_linux "${client[@]}")
mapfile -t server < <(drop /spec/ "${server[@]}")

faults=0
# compile TARGET FILE...
compile() {
  local target=$1
  shift
  if "$zig" cc -target "$target" -fsyntax-only -std=c11 -D_GNU_SOURCE -Wall \
    -Wextra -Wpedantic -Werror -Isrc -Ilocal -isystem "$headers" \
    -isystem "$headers/lua5.4" "$@" >"$log" 2>&1; then
    printf '  %-28s %d files\n' "$target" "$#"
  else
    head -n 40 "$log"
    printf '  %-28s FAILED\n' "$target"
    faults=$((faults + 1))
  fi
}

for target in x86_64-linux-gnu.2.28 x86_64-linux-musl aarch64-linux-gnu.2.28 \
  arm-linux-gnueabihf.2.28 arm-linux-musleabihf; do
  compile "$target" "${for_linux[@]}" "${server[@]}"
done
for target in x86_64-macos aarch64-macos x86_64-freebsd; do
  compile "$target" "${for_bsd[@]}"
done
[ "$faults" -eq 0 ]
