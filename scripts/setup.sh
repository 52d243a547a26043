#!/usr/bin/env bash
# setup.sh demo|openresty|test|dev|fuzz: installs the Debian packages that are
# missing.
. "$(dirname "$0")/common.sh"

# One package and what it is for on each line.
demo_packages='
gcc                    compiles the C code
libc6-dev              the C library to compile against
cmake                  drives the build
pkg-config             finds the libraries
lua5.4                 runs the Lua code
liblua5.4-dev          Lua to compile the module against
libcurl4-openssl-dev   HTTP
libuv1-dev             the event loop
libssl-dev             TLS
lua-cjson              JSON in Lua
libhttp-parser-dev     HTTP in the local server
libwslay-dev           WebSocket in the local server
zlib1g-dev             compressed messages in the local server
bubblewrap             the walls around a local capsule
git                    what capsule.git runs in a local capsule'
luajit_packages='
luajit                 the Lua of Neovim and nginx
liblua5.1-0-dev        to compile against for them'
openresty_packages='
curl                   a client'
test_packages=$luajit_packages'
jupyter-server         what local capsules run code with
python3-ipykernel      its Python kernel
slirp4netns            the way out for local capsules with their own network
python3                services for the specs to reach through the proxy
curl                   another client for the proxy
inotify-tools          one of the two ways to watch the files of a capsule
lua-busted             runs the Lua specs
locales                a locale with a decimal comma
lua-luv                the scripted peers of the specs, and a host to test in
zsh                    a shell to complete commands in
fish                   another one
openssl                makes the certificates of the specs
socat                  puts TLS in front of a server
lua-cqueues            a host to test in
lua-copas              a host to test in, with
lua-socket             what it waits with
libwebsockets-dev      another WebSocket, as server in the specs and a yardstick
neovim                 a host to test in'
dev_packages='
ninja-build            runs the compilers
ccache                 compiles what several builds of the gate share
clang                  the second compiler
clang-format           checks the layout of C code
clang-tidy             checks C code
cppcheck               checks C code
lua-check              checks Lua code
shellcheck             checks the scripts
luarocks               builds the rock
mmdebstrap             makes the bare Debian 13 of the gate
cargo                  fetches the newest libuv and libcurl
python3-pip            fetches a current Neovim and more
python3-pylsp          a language server, to run in a capsule
lua5.1                 another Lua to run on
lua5.3                 another Lua to run on
liblua5.3-dev          and to compile against'
fuzz_packages='
clang                  compiles the fuzzers
libclang-rt-dev        what they are linked with'

case ${1:-} in
demo) wanted=$demo_packages ;;
openresty) wanted=$demo_packages$luajit_packages$openresty_packages ;;
test) wanted=$demo_packages$test_packages ;;
dev) wanted=$demo_packages$test_packages$dev_packages ;;
fuzz) wanted=$demo_packages$fuzz_packages ;;
*) die "usage: scripts/setup.sh demo|openresty|test|dev|fuzz" ;;
esac
wanted=${wanted#?}

if [ -n "${WRENN_SKIP_SETUP:-}" ]; then
  exit 0
fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  die "This is not a Debian system: install what is listed here yourself" \
    "(README.md names the packages of other systems), then set" \
    "WRENN_SKIP_SETUP=1 and run the command again." "" "$wanted"
fi

installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
reasons=
while read -r package reason; do
  if ! installed "$package"; then
    missing+=("$package")
    reasons+=$(printf '\n  %-22s %s' "$package" "$reason")
  fi
done <<<"$wanted"
if [ "${#missing[@]}" -eq 0 ]; then
  exit 0
fi

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    die "These Debian packages are missing:$reasons" "" \
      "Installing them takes root, and there is no sudo. As root, run:" \
      "  apt-get install --no-install-recommends ${missing[*]}"
  fi
  sudo=(sudo)
fi

# It waits for the lock of packages by itself, but not for those of lists and of
# downloads.
apt_get() {
  # shellcheck disable=SC2024 # the log is ours, not root's
  "${sudo[@]}" env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q -y \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=5 "$@" >>"$log" 2>&1 </dev/null
}

printf 'Installing Debian packages:%s\n' "$reasons"
mkdir -p build
log=build/setup.log
: >"$log"
if [ "${#sudo[@]}" -gt 0 ]; then
  sudo -v # asks for a password here, where it can be seen
fi
# An outdated list of packages contains files that no longer exist; after a
# failed update the list may still be good enough. What is in no list that was
# updated just now will not be there in a minute either.
update_and_install() {
  local updated=yes
  : >"$log"
  if ! apt_get -o APT::Update::Error-Mode=any update; then
    updated=
    echo "apt-get update failed; trying with what is known."
  fi
  if apt_get install --no-install-recommends --no-remove "${missing[@]}"; then
    return
  elif [ -n "$updated" ] && grep -qE \
    '^E: .*(Unable to locate package|has no installation candidate)' "$log"; then
    return "$IN_VAIN"
  fi
  return 1
}
if ! persistently update_and_install; then
  tail -n 20 "$log" >&2
  die "" "apt-get could not install them; the whole log: $log" \
    "To do it yourself:" \
    "  apt-get install --no-install-recommends ${missing[*]}"
fi
