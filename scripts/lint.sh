#!/usr/bin/env bash
# lint.sh: all checks that do not run the code.
. "$(dirname "$0")/common.sh"

make -s clang

c_dirs=(src local spec examples bench)
mapfile -t c_files < <(find "${c_dirs[@]}" -name '*.[ch]' | sort)
# Another system's file has headers that are not here.
mapfile -t c_units < <(find "${c_dirs[@]}" -name '*.c' ! -name system_bsd.c |
  sort)
lua_dirs=(lua spec examples bench scripts)
mapfile -t lua_files < <(find "${lua_dirs[@]}" -name '*.lua' | sort)
faults=0

# check NAME COMMAND...: says nothing more when there is nothing to find.
check() {
  local name=$1
  shift
  printf '%s\n' "$name"
  "$@" || faults=$((faults + 1))
}

# Most of its time is spent in functions whose paths it does not get to the end
# of. It gives these up after a third of its usual number of steps: of faults that
# were put into such functions it found the same ones.
tidy() {
  local step="--extra-arg=-Xclang"
  printf '%s\0' "${c_units[@]}" |
    xargs -0 -n 1 -P "$(nproc)" \
      clang-tidy --quiet "$step" --extra-arg=-analyzer-config "$step" \
      --extra-arg=max-nodes=75000 --extra-arg="-I$PWD/src" \
      --extra-arg="-I$PWD/local" -p build/clang 2>/dev/null
}

# The subset every Lua here understands is the one PUC 5.1 does.
parse_lua() {
  local file
  for file in "${lua_files[@]}"; do
    case $file in
    # Processes of their own, always on 5.4.
    bench/* | spec/support/peer_main.lua | spec/support/sha1.lua) continue ;;
    esac
    luac5.1 -p "$file" || return 1
  done
}

sizes() {
  local long
  long=$(wc -l "${c_files[@]}" "${lua_files[@]}" |
    awk '$2 != "total" && $1 > 800')
  [ -z "$long" ] || { printf 'over 800 lines: %s\n' "$long"; return 1; }
}

# What cannot read the version where it is written.
versions() {
  local version
  version=$(version)
  grep -qF "\"$version\"" lua/wrenn/version.lua &&
    grep -qF "## [$version]" CHANGELOG.md &&
    head -n 1 debian/changelog | grep -qF "($version-" && return
  echo "src/wrenn.h says $version; one of the others does not"
  return 1
}

check clang-format clang-format --dry-run -Werror "${c_files[@]}"
check clang-tidy tidy
check cppcheck cppcheck --project=build/clang/compile_commands.json --quiet \
  -j "$(nproc)" \
  --enable=warning,performance,portability --inline-suppr \
  --suppress=varFuncNullUB --error-exitcode=1
check luacheck luacheck --quiet "${lua_dirs[@]}" rockspec
check "Lua 5.1 syntax" parse_lua
check shellcheck shellcheck -x -P SCRIPTDIR scripts/*.sh .ci/run bin/wrenn
check "file sizes" sizes
check "arrows between rooms" lua5.4 scripts/arrows.lua
check versions versions
check documents scripts/docs.sh
[ "$faults" -eq 0 ] || die "$faults of the checks found something."
