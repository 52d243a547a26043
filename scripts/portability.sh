#!/usr/bin/env bash
# portability.sh: checks the client's code against the headers of the systems
# that it is meant for, and the local server's against those of other Linuxes.
# The headers are those that zig, which PyPI has, brings along for its C
# compiler. Nothing is linked or run.
. "$(dirname "$0")/common.sh"

dir=$PWD/build/portability
zig=$dir/zig
libc=$zig/ziglang/lib/libc/include
mkdir -p "$dir"

(unpack_wheel "$zig" ziglang 0.17.1 /lib/libc/include/) || {
  echo "not run: there are no headers of other systems here"
  echo "0 passed, 0 failed, 1 skipped"
  exit
}

# The headers of the libraries, without those of this system's C library.
headers=$dir/include
rm -rf "$headers"
mkdir -p "$headers"
arch=$(gcc -print-multiarch)
for name in uv.h uv http_parser.h wslay zlib.h zconf.h lua5.4 \
  lua5.4-deb-multiarch.h openssl curl; do
  for place in /usr/include "/usr/include/$arch"; do
    [ ! -e "$place/$name" ] || cp -rL "$place/$name" "$headers/"
  done
done

mapfile -t client < <(ls src/*.c src/lua/*.c)
mapfile -t server < <(find local -name '*.c' ! -path '*/spec/*')
passed=0
failed=0

# compile TARGET "FOLDER..." "OPTION..." FILE...: with the headers in these
# folders.
compile() {
  local target=$1 folders=$2 include=() name options
  read -ra options <<<"$3"
  shift 3
  for name in $folders; do
    include+=(-isystem "$libc/$name")
  done
  if printf '%s\0' "$@" | xargs -0 -n 8 -P "$(nproc)" \
    clang --target="$target" -fsyntax-only -nostdlibinc "${include[@]}" \
    -isystem "$headers" -isystem "$headers/lua5.4" -Isrc -Ilocal -std=c11 \
    -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror "${options[@]}" \
    >"$dir/log" 2>&1; then
    printf '  %-26s %3d files\n' "$target" "$#"
    passed=$((passed + 1))
  else
    head -n 40 "$dir/log"
    printf '  %-26s FAILED\n' "$target"
    failed=$((failed + 1))
  fi
}

# without NAME FILE...: the files but for one.
without() {
  printf '%s\n' "${@:2}" | grep -v "/$1\.c$"
}

mapfile -t for_linux < <(without system_bsd "${client[@]}")
mapfile -t for_bsd < <(without system_linux "${client[@]}")
# glibc 2.28, as the oldest.
compile x86_64-linux-gnu "x86-linux-gnu generic-glibc x86-linux-any any-linux-any" \
  -D__GLIBC_MINOR__=28 "${for_linux[@]}" "${server[@]}"
# Its CMSG_NXTHDR compares a size with a difference.
compile x86_64-linux-musl "x86_64-linux-musl generic-musl x86-linux-any any-linux-any" \
  -Wno-sign-compare "${for_linux[@]}" "${server[@]}"
compile arm-linux-gnueabihf "arm-linux-gnu generic-glibc arm-linux-any any-linux-any" \
  -D__GLIBC_MINOR__=28 "${for_linux[@]}"
compile x86_64-unknown-freebsd14 "x86_64-freebsd-none generic-freebsd" \
  "" "${for_bsd[@]}"
# TargetConditionals.h asks for a newer clang; this is all that it says. And
# dirfd is a macro.
compile arm64-apple-macos12 any-darwin-any \
  "-D__TARGETCONDITIONALS__ -DTARGET_OS_MAC=1 -DTARGET_OS_OSX=1 -Wno-gnu-statement-expression" \
  "${for_bsd[@]}"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
