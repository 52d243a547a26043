#!/usr/bin/env bash
# docs.sh: checks that the files that the documents name exist, that
# docs/architecture.md names every folder, and that what is made from comments
# is what they say.
. "$(dirname "$0")/common.sh"

documents=(README.md CONTRIBUTING.md docs/architecture.md docs/cli.md
  docs/hosts.md docs/openresty.md docs/python.md local/README.md nvim/README.md
  examples/README.md examples/openresty/README.md)
[ ! -e docs/c.md ] || documents+=(docs/c.md)
tops=(src lua local spec bench scripts examples)
faults=0

fault() {
  printf '%s\n' "$1"
  faults=$((faults + 1))
}

# names DOCUMENT: the files and folders that it names: the targets of its links,
# paths that begin with a folder of this tree, and what looks like a file or a
# folder in `code`.
names() {
  grep -oP '\]\(\K[^)#:]+(?=[)#])' "$1"
  grep -oP '(?<![\w./$-])(src|lua|local|spec|bench|scripts|examples|docs|bin|rockspec|\.ci)/[\w./*-]*' "$1"
  # shellcheck disable=SC2016 # backquotes are what it looks for
  grep -oP '`\K[\w][\w./*-]*(\.(c|h|lua|sh|md|svg|conf|py)|/)(?=`)' "$1"
}

# exists NAME DOCUMENT: from the root, beside the document or, without a folder,
# anywhere. A * stands for whatever there is.
exists() {
  case $1 in
  build/*) return 0 ;;
  */*) compgen -G "$1" || compgen -G "$(dirname "$2")/$1" ;;
  *) find "${tops[@]}" . -maxdepth 4 -not -path './build*' -name "$1" |
    grep . ;;
  esac >/dev/null
}

for document in "${documents[@]}"; do
  while read -r name; do
    exists "$name" "$document" || fault "$document: there is no $name"
  done < <(names "$document" | sed 's/\.$//' | sort -u)
done

# Where a folder is a topic of its own, its folders are named as well.
mapfile -t folders < <(find src lua local -type d
  find spec bench scripts examples -maxdepth 1 -type d)
for folder in "${folders[@]}"; do
  [ "$folder" = lua ] || grep -qF "$folder/" docs/architecture.md ||
    fault "docs/architecture.md: $folder/ is not mentioned"
done

# What is made from comments is up to date, and links lead somewhere.
lua5.4 scripts/docs/main.lua check || faults=$((faults + 1))

[ "$faults" -eq 0 ]
