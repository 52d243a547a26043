-- A command as words: a program and what it is given. What the API has no
-- field for goes in front, as arguments of fixed lines of shell: no value
-- ever becomes part of such a line.

local words = {}

local function append(list, items)
  for _, item in ipairs(items) do
    list[#list + 1] = item
  end
  return list
end

-- `line` runs as sh, with `args` and the words behind them.
local function behind(line, args, list)
  return append(append({ "/bin/sh", "-c", line, "sh" }, args), list)
end

--- The words of a command. A string goes to the shell whole, as one argument;
--- that means the same on every server, as a bare program name does not. With
--- `args` it is a program; an empty list must not turn it back into a shell
--- line, which a bare name is on newer servers.
function words.of(cmd, args)
  if not args then
    -- A server may put the home directory in place of a ~ in front, before the
    -- shell can. The blank keeps it away, and means nothing to the shell.
    if cmd:find("^~") then
      cmd = " " .. cmd
    end
    return { "/bin/sh", "-c", cmd }
  elseif #args == 0 then
    return { "/bin/sh", "-c", 'exec "$0"', cmd }
  end
  return append({ cmd }, args)
end

--- The words of a fixed script: `line` with `args` as "$1" and so on, and
--- `list` behind them.
function words.script(line, args, list)
  return behind(line, args, list or {})
end

-- "$1" how many processes follow; then the words.
local AS_OWNER = [[
n=$1 root=
shift
while [ $n -gt 0 ]; do
  [ ! -e /proc/$1 ] || [ -O /proc/$1 ] || root=1
  n=$((n - 1))
  shift
done
[ "$root" ] && sudo -n true 2>/dev/null && exec sudo -n -- "$@"
exec "$@"
]]

--- Runs as one who may handle processes: as root where one of them is another
--- user's, and root can be had without being asked for a password.
function words.as_owner(list, pids)
  local args = { ("%d"):format(#pids) }
  for _, pid in ipairs(pids) do
    args[#args + 1] = ("%d"):format(pid)
  end
  return behind(AS_OWNER, args, list)
end

--- A directory as the server understands it, for cd: relative to the home
--- directory, which is where a command starts.
function words.directory(cwd)
  if cwd == "~" or cwd:find("^~/") then
    cwd = "." .. cwd:sub(2)
  end
  return cwd:find("^/") and cwd or "./" .. cwd
end

--- Runs in a directory; in a missing one it exits with 126.
function words.in_directory(list, cwd)
  return behind('cd -- "$1" || exit 126; shift; exec "$@"',
    { words.directory(cwd) }, list)
end

-- env would take a program with a = in its name for an assignment.
local function as_program(list)
  return list[1]:find("=", 1, true) and behind('exec "$@"', {}, list) or list
end

--- Runs with the environment that a file sets, and removes the file.
function words.with_file_of_envs(list, path)
  return behind('. "$1"; /bin/rm -f -- "$1"; shift; exec "$@"', { path }, list)
end

--- Runs with an environment. It shows in the list of processes.
function words.with_envs(list, envs)
  local assignments = {}
  for name, value in pairs(envs) do
    assignments[#assignments + 1] = name .. "=" .. value
  end
  table.sort(assignments)
  return append(append({ "/usr/bin/env" }, assignments), as_program(list))
end

--- Reads its input from a file, which has no name any more by then.
function words.with_stdin(list, path)
  return behind('exec <"$1"; /bin/rm -f -- "$1"; shift; exec "$@"', { path },
    list)
end

-- "$1" the user, "$2" a directory or nothing, which only one of the two users
-- may be able to enter; then what env is given. As a server may have changed the user
-- already, it looks first. sudo is told to keep the environment, which may hold
-- what was asked for.
local BECOME = [[
u=$1
d=$2
shift 2
[ -z "$d" ] || { cd -- "$d" 2>/dev/null && d=; }
set -- /bin/sh -c '
  [ -z "$1" ] || cd -- "$1" || exit 126
  shift
  exec env "$@"' sh "$d" "$@"
[ "$(id -un)" = "$u" ] && exec "$@"
[ "$(id -u)" = 0 ] || exec sudo -n -E -u "$u" -- "$@"
command -v runuser >/dev/null && exec runuser -u "$u" -- "$@"
exec su -s /bin/sh -c 'exec "$@"' -- "$u" sh "$@"
]]

--- Runs as a user {name=, home=}: at home unless a directory was asked for,
--- and with the names in the environment that such a user has, unless others
--- were asked for: what changes the user resets them. `cwd` is entered here;
--- without it, the directory in the options has been entered before.
function words.as_user(list, user, opts, cwd)
  local envs = opts.envs or {}
  return behind(BECOME, {
    user.name,
    cwd and words.directory(cwd) or opts.cwd and "" or user.home,
    "HOME=" .. (envs.HOME or user.home), "USER=" .. (envs.USER or user.name),
    "LOGNAME=" .. (envs.LOGNAME or user.name),
  }, as_program(list))
end

--- Sets the words apart from those of an equal command, by an argument that
--- nothing reads.
function words.marked(list, mark)
  return append({ "/bin/sh", "-c", 'exec "$@"', mark }, list)
end

return words
