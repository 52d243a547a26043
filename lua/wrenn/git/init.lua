--- Git repositories in a capsule: capsule.git. Every method runs the git that
--- is installed in the capsule, by POST /v1/capsules/{id}/exec.
---
--- The required arguments of a method are positional; all of them may be in the
--- options table instead, which comes last. If git fails, the result is nil,
--- GitCommandError or nil, GitAuthError; both are a GitError and have `stderr`
--- and `exit_code`.

---@class wrenn.GitOptions
---@field cwd? string      the home directory when absent
---@field envs? table<string, string>  added to git's environment
---@field timeout? number|false  seconds (30); false: no limit. After the limit,
---  and when the call is cancelled, git is killed

--- The credentials are sent to the host in the remote's URL, for one command. A
--- program in the capsule may have changed the URL of "origin": to be sure of
--- the host, pass the URL itself.
---@class wrenn.GitRemoteOptions: wrenn.GitOptions
---@field username? string  for http and https; without a password, a token
---@field password? string  not stored, and not visible on a command line

---@class (partial) wrenn.Git
local Git = { is_git = true }
Git.__index = Git

function Git:__tostring()
  return ("wrenn.Git (%s)"):format(self.commands.capsule_id)
end

for _, part in ipairs({ "repository", "inspect", "network" }) do
  for name, method in pairs(require("wrenn.git." .. part)) do
    Git[name] = method
  end
end

local M = {}

function M.new(commands)
  return setmetatable({ commands = commands }, Git)
end

return M
