-- Classifies the failure of a git command.

local errors = require("wrenn.errors")

local failure = {}

-- The messages of git, curl, ssh and well-known hosts, in lower case. File
-- systems deny permission too: only ssh appends the methods tried, in
-- parentheses.
local phrases = {
  "authentication failed",
  "terminal prompts disabled",
  "could not read username",
  "could not read password",
  "invalid username or password",
  "access denied",
  "permission denied (",
  "not authorized",
  "returned error: 401",
  "returned error: 403",
}

-- Names of files, branches and addresses are quoted and may contain any phrase.
local function means_auth(stderr)
  local text = stderr:gsub("'[^'\n]*'", "''"):lower()
  for _, phrase in ipairs(phrases) do
    if text:find(phrase, 1, true) then
      return true
    end
  end
  return false
end

local function stripped(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

--- The error for a git command that exited with another code than 0. Only a
--- command that contacts another machine can fail to authenticate.
---@param op string  e.g. "push"
---@param result {stdout: string, stderr: string, exit_code: integer}
---@param network? boolean
---@return wrenn.Error
function failure.of(op, result, network)
  local fields = { stderr = result.stderr, exit_code = result.exit_code }
  if network and means_auth(result.stderr) then
    return errors.new("GitAuthError",
      ("git %s: authentication failed"):format(op), fields)
  end
  local text = stripped(result.stderr)
  if text == "" then
    text = stripped(result.stdout)
  end
  if text == "" then
    text = ("git %s failed (exit %d)"):format(op, result.exit_code)
  end
  return errors.new("GitCommandError", errors.cut(text), fields)
end

return failure
