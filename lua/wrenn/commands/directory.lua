-- The working directory of a command. When it cannot be entered, the server's
-- answer depends on its generation and on how the command was started, and may
-- say nothing at all. So after any failure that a bad directory may have
-- caused, the directory is checked.

local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local words = require("wrenn.commands.words")

local directory = {}

--- The exit code of a command whose directory could not be entered.
directory.EXIT = 126

--- Creates the error for a directory that cannot be entered.
function directory.error(cwd, reason, cause)
  return errors.new("ValidationError",
    ("cwd '%s' %s"):format(cwd, reason), {
      details = { field = "cwd" }, cause = cause,
      status_code = cause and cause.status_code,
      request_id = cause and cause.request_id,
    })
end

-- Runs in the home directory, as commands do.
local LOOK = [[
no() { echo "$1"; exit 1; }
[ -e "$1" ] || no 'does not exist'
[ -d "$1" ] || no 'is not a directory'
cd -- "$1" 2>/dev/null || no 'cannot be entered'
]]

--- Checks that a directory can be entered. Returns the error, or nil.
function directory.look(self, cwd, cause)
  local result = exec.script(self, LOOK, { words.directory(cwd) })
  if result and result.exit_code == 1 then
    return directory.error(cwd, (result.stdout:gsub("%s+$", "")), cause)
  end
end

--- The result of a command that reports that it could not start. Returns nil,
--- err if the cause is its directory.
function directory.result(self, cwd, result)
  local err = directory.look(self, cwd)
  if err then
    return nil, err
  end
  return result
end

local UNCLEAR = { [400] = true, [500] = true, [502] = true }

--- Explains a failed start: returns the directory's error if the directory is
--- the cause, else `err` itself. `opts` are the options of the command.
function directory.explain(self, opts, err)
  return opts.cwd and UNCLEAR[err.status_code]
    and directory.look(self, opts.cwd, err) or err
end

return directory
