-- Looks up the users of a capsule, for commands that run as one of them.

local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")

-- Prints the current user, and the name and home of user "$1". Exits with 3 if
-- there is no such user, with 4 if it is not possible to become that user: root
-- always can, others need sudo without a password.
local LOOK = [[
me=$(id -un)
entry() {
  while IFS=: read -r n _ _ _ _ h _; do
    [ "$n" = "$1" ] && printf '%s\n%s\n' "$me" "$h" && return
  done </etc/passwd
  e=$(getent passwd -- "$1" 2>/dev/null) || return
  e=${e%:*}
  printf '%s\n%s\n' "$me" "${e##*:}"
}
entry "$1" || exit 3
[ "$me" = "$1" ] && exit
if [ "$(id -u)" != 0 ]; then
  sudo -n -E -u "$1" -- true || exit 4
elif command -v runuser >/dev/null; then
  runuser -u "$1" -- true || exit 4
else
  su -s /bin/sh -c true -- "$1" || exit 4
fi
]]

--- Looks up a user, once per Commands object. Returns {name=, home=,
--- is_default=}, or nil, err.
return function(self, name)
  self.users = self.users or {}
  local known = self.users[name]
  if known then
    return known
  end
  local result, err = exec.script(self, LOOK, { name }, 30)
  if not result then
    return nil, err
  elseif result.exit_code == 3 then
    return nil, errors.new("ValidationError",
      ("there is no user '%s' in the capsule"):format(name))
  end
  local me, home = result.stdout:match("^([^\n]*)\n([^\n]*)\n")
  if result.exit_code ~= 0 or not me then
    return nil, errors.new("ValidationError",
      ("cannot run commands as user '%s': %s"):format(name,
        errors.text(result.stderr)), { result = result })
  end
  known = { name = name, home = home, is_default = me == name }
  self.users[name] = known
  return known
end
