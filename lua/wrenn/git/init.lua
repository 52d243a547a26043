--- Git repositories in a capsule: capsule.git. Every method runs the git that
--- is installed in it, through POST /v1/capsules/{id}/exec.
---
--- What a method needs comes by position, and all of it may come in the
--- options table, which is last. A git that fails is nil, GitCommandError or
--- nil, GitAuthError; both are a GitError and have `stderr` and `exit_code`.

---@class wrenn.GitOptions
---@field cwd? string      the home directory when absent
---@field envs? table<string, string>  added to git's environment
---@field timeout? number|false  seconds (30); false: no limit. When it is over
---  or the call is cancelled, git is ended

--- The credentials go to the host that the remote's URL names, for one
--- command. What runs in a capsule may have changed the URL of "origin": to be
--- certain of the host, give the URL itself.
---@class wrenn.GitRemoteOptions: wrenn.GitOptions
---@field username? string  for http and https; without a password, a token
---@field password? string  neither is stored nor seen on a command line

---@class wrenn.GitResult
---@field stdout string
---@field stderr string
---@field exit_code integer
---@field duration_ms integer

---@class wrenn.Git
local Git = { is_git = true }
Git.__index = Git

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
