#!/usr/bin/env bash
# dist.sh: makes a release of what is committed, in build/dist: the source
# tarball, the rockspec that names it, and the documents as HTML pages.
# WRENN_DIST_URL is the folder that the tarball will be in.
. "$(dirname "$0")/common.sh"

version=$(version)
name=wrenn-$version
dir=build/dist
url=${WRENN_DIST_URL:-https://github.com/wrennhq/wrenn-lua/releases/download/v$version}

rm -rf "$dir"
mkdir -p "$dir"
git archive --format=tar --prefix="$name/" HEAD | gzip -n9 >"$dir/$name.tar.gz"
sum=$(md5sum "$dir/$name.tar.gz")
sed -e "s|\"scm-1\"|\"$version-1\"|" \
  -e "s|^  url = .*|  url = \"$url/$name.tar.gz\",\n  md5 = \"${sum%% *}\",|" \
  rockspec/wrenn-scm-1.rockspec >"$dir/$name-1.rockspec"
rm -rf build/docs
lua5.4 scripts/docs/main.lua check
pages=wrenn-docs-$version
tar -cz -f "$dir/$pages.tar.gz" --transform "s|^docs|$pages|" -C build docs
ls "$dir"
