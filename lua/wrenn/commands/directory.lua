-- The directory of a command. What a server says when it cannot be entered
-- differs by generation and by the way a command is started, down to nothing at
-- all: so a failure that it may have caused makes for a look at it.

local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local words = require("wrenn.commands.words")

local directory = {}

--- The exit code of a command that could not enter its directory.
directory.EXIT = 126

--- The error of a directory that cannot be entered.
function directory.error(cwd, reason, cause)
  return errors.new("ValidationError",
    ("cwd '%s' %s"):format(cwd, reason), {
      details = { field = "cwd" }, cause = cause,
      status_code = cause and cause.status_code,
      request_id = cause and cause.request_id,
    })
end

-- Runs where commands start.
local LOOK = [[
no() { echo "$1"; exit 1; }
[ -e "$1" ] || no 'does not exist'
[ -d "$1" ] || no 'is no directory'
cd -- "$1" 2>/dev/null || no 'cannot be entered'
]]

--- Whether a directory can be entered: nil, or the error.
function directory.look(self, cwd, cause)
  local result = exec.script(self, LOOK, { words.directory(cwd) })
  if result and result.exit_code == 1 then
    return directory.error(cwd, (result.stdout:gsub("%s+$", "")), cause)
  end
end

--- The result of a command that says it could not begin; or nil, err when it
--- is its directory that is to blame.
function directory.result(self, cwd, result)
  local err = directory.look(self, cwd)
  if err then
    return nil, err
  end
  return result
end

local UNCLEAR = { [400] = true, [500] = true, [502] = true }

--- What a failed start means: the error itself, unless its directory is to
--- blame. `opts` are the command's.
function directory.explain(self, opts, err)
  return opts.cwd and UNCLEAR[err.status_code]
    and directory.look(self, opts.cwd, err) or err
end

return directory
