-- A command as a list of words: a program and its arguments. What the API has
-- no field for is done by fixed lines of shell in front, which get values as
-- arguments: no value ever becomes part of a line of shell.

local ids = require("wrenn.ids")

local words = {}

local function append(list, items)
  for _, item in ipairs(items) do
    list[#list + 1] = item
  end
  return list
end

-- Runs `line` with sh; `args` and `list` are its arguments.
local function behind(line, args, list)
  return append(append({ "/bin/sh", "-c", line, "sh" }, args), list)
end

--- The words of a command. A string is passed to a shell as a single argument,
--- which means the same on every server; a bare program name does not. With
--- `args`, the command is a program; an empty `args` must not turn it back into
--- a line of shell, as a bare name would on newer servers.
function words.of(cmd, args)
  if not args then
    -- A server may replace a leading ~ by the home directory before the shell
    -- does. A leading space prevents that, and the shell ignores it.
    if cmd:find("^~") then
      cmd = " " .. cmd
    end
    return { "/bin/sh", "-c", cmd }
  elseif #args == 0 then
    return { "/bin/sh", "-c", 'exec "$0"', cmd }
  end
  return append({ cmd }, args)
end

--- The words of a fixed script: `line`, with `args` as "$1" and so on, followed
--- by `list`.
function words.script(line, args, list)
  return behind(line, args, list or {})
end

-- "$1" is the number of pids that follow; then come the words.
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

--- Runs with the rights to inspect and signal the processes: as root if one of
--- them belongs to another user and sudo works without a password.
function words.as_owner(list, pids)
  local args = { ("%d"):format(#pids) }
  for _, pid in ipairs(pids) do
    args[#args + 1] = ("%d"):format(pid)
  end
  return behind(AS_OWNER, args, list)
end

--- A directory as an argument of cd: relative to the home directory, where
--- commands start.
function words.directory(cwd)
  if cwd == "~" or cwd:find("^~/") then
    cwd = "." .. cwd:sub(2)
  end
  return cwd:find("^/") and cwd or "./" .. cwd
end

--- Runs in a directory; exits with 126 if it cannot be entered.
function words.in_directory(list, cwd)
  return behind('cd -- "$1" || exit 126; shift; exec "$@"',
    { words.directory(cwd) }, list)
end

-- env would take a program name that contains = for an assignment.
local function as_program(list)
  return list[1]:find("=", 1, true) and behind('exec "$@"', {}, list) or list
end

--- Runs with the environment that is set by a file, and removes the file. The
--- file may put env in front of the words.
function words.with_file_of_envs(list, path)
  return behind('. "$1"; /bin/rm -f -- "$1"; shift; exec "$@"', { path },
    as_program(list))
end

--- Runs with the input read from a file, which is unlinked first.
function words.with_stdin(list, path)
  return behind('exec <"$1"; /bin/rm -f -- "$1"; shift; exec "$@"', { path },
    list)
end

-- "$1" is the user, "$2" a directory or empty, "$3" another one for when that
-- cannot be entered, or empty; the arguments of env follow. The directory may
-- be accessible to only one of the two users, so both are tried.
-- The server may have changed the user already, so that is checked first. sudo
-- is told to keep the environment, as it may hold requested variables.
local BECOME = [[
u=$1
d=$2
e=$3
shift 3
[ -z "$d" ] || { cd -- "$d" 2>/dev/null && d=; }
set -- /bin/sh -c '
  if [ -n "$1" ]; then
    [ -n "$2" ] && cd -- "$1" 2>/dev/null || cd -- "${2:-$1}" || exit 126
  fi
  shift 2
  exec env "$@"' sh "$d" "$e" "$@"
[ "$(id -un)" = "$u" ] && exec "$@"
[ "$(id -u)" = 0 ] || exec sudo -n -E -u "$u" -- "$@"
command -v runuser >/dev/null && exec runuser -u "$u" -- "$@"
exec su -s /bin/sh -c 'exec "$@"' -- "$u" sh "$@"
]]

--- Runs as a user {name=, home=}: in its home unless a directory was requested
--- (or in /, as after a login, if it has none), and with the environment variables of such a user unless others were
--- requested (the programs that change the user reset them). `cwd` is entered
--- here; without it, the directory in the options has already been entered.
function words.as_user(list, user, opts, cwd)
  local envs = opts.envs or {}
  return behind(BECOME, {
    user.name,
    cwd and words.directory(cwd) or opts.cwd and "" or user.home,
    opts.cwd and "" or "/",
    "HOME=" .. (envs.HOME or user.home), "USER=" .. (envs.USER or user.name),
    "LOGNAME=" .. (envs.LOGNAME or user.name),
  }, as_program(list))
end

--- The variable whose value tells what a command has started: it is inherited
--- by every process, whatever else that leaves.
words.MARK = "WRENN_COMMAND"

--- Makes a new value for it. The full stop is the end: the shell reads an
--- environment without the NUL bytes between the values.
function words.new_mark()
  return ids.random(12) .. "."
end

--- Gives the words a mark, which also distinguishes them from those of an equal
--- command.
function words.marked(list)
  return append({ "/bin/sh", "-c",
    ('export %s="$0"; exec "$@"'):format(words.MARK), words.new_mark() }, list)
end

return words
