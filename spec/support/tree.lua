-- A system small enough to be made in a moment: a shell and a few programs of
-- this machine, with their libraries.

local disk = require("spec.support.disk")

local PROGRAMS = "sh cat chmod chown cp env id ln ls mkdir mv readlink rm rmdir"
  .. " stat touch true"

local MAKE = [[
set -e
put() { mkdir -p "$tree/$(dirname "$1")"; cp -L "$1" "$tree/$1"; }
mkdir -p "$tree/bin" "$tree/etc/kept"
for name in $programs; do
  file=/usr/bin/$name
  [ -x $file ] || file=/bin/$name
  cp -L "$file" "$tree/bin/"
  files="$files $file"
done
for library in $(ldd $files $agent 2>/dev/null | grep -o '/[^ :]*[^ :]' |
  grep '\.so' | sort -u); do
  put "$library"
done
echo from the tree >"$tree/etc/given"
echo from the tree >"$tree/etc/kept/one"
]]

--- Makes a tree in a new folder, whose path it returns. It has /etc/given and
--- /etc/kept/one.
return function()
  local folder = disk.folder()
  local agent = os.getenv("WRENN_AGENT") or (os.getenv("WRENN_LOCAL")
    or "build/local/wrenn-local"):gsub("[^/]*$", "wrenn-agent")
  assert(os.execute(("tree=%s agent=%s programs='%s' sh -c '%s'"):format(folder,
    agent, PROGRAMS, (MAKE:gsub("'", "'\\''")))))
  return folder
end
