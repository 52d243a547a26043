-- Runs git in a capsule in the same way on every server. The directory is
-- passed with -C, because old servers start every foreground command in the
-- home directory.

local credentials = require("wrenn.git.credentials")
local directory = require("wrenn.commands.directory")
local failure = require("wrenn.git.failure")
local ids = require("wrenn.ids")
local words = require("wrenn.git.words")

local run = {}

-- Runs git with an input, for foreground commands without one.
local FEED = [[printf "%s\n" "$WRENN_GIT_INPUT" | git "$@"]]

---@class wrenn.git.Job
---@field op string            for messages: "push"
---@field args string[]        git's words
---@field call table           cwd, envs and timeout of the method call
---@field timeout? number      seconds, if the call has none (30)
---@field credentials? wrenn.git.Credentials  for the remote
---@field envs? table<string, string>  additional variables; secret
---@field input? string        the standard input of git; secret
---@field secret? wrenn.git.Credentials  to be removed from texts
---@field network? boolean     authentication may fail

local function merge(into, envs)
  for name, value in pairs(envs or {}) do
    into[name] = value
  end
  return into
end

local function environment_of(job)
  local envs = merge({ GIT_TERMINAL_PROMPT = "0", LC_ALL = "C" }, job.call.envs)
  merge(envs, job.envs)
  envs.WRENN_GIT_INPUT = job.input
  return merge(envs, job.credentials and credentials.envs(job.credentials))
end

-- Servers replace "~" by the home directory, where commands start; git does
-- not.
local function directory_words(cwd)
  if cwd == "~" or cwd == "~/" then
    cwd = nil
  elseif cwd then
    cwd = cwd:gsub("^~/+", "")
  end
  return cwd and cwd ~= "" and { "-C", cwd } or {}
end

-- program, args. A unique word makes it possible to find a command with secrets
-- in the process list.
local function command_line(job)
  local list = words.add({}, directory_words(job.call.cwd),
    (job.credentials or job.envs or job.input)
      and { "-c", "wrenn.run=" .. ids.random(12) },
    job.credentials and credentials.words(job.credentials),
    job.args)
  if job.input then
    return "/bin/sh", words.add({ "-c", FEED, "sh" }, list)
  end
  return "git", list
end

local function execute(self, job)
  local timeout = job.call.timeout
  if timeout == nil then
    timeout = job.timeout or 30
  end
  local program, args = command_line(job)
  -- On SIGTERM, git removes its locks and an incomplete clone.
  return self.commands:run(program, { args = args,
    envs = environment_of(job), timeout = timeout, timeout_signal = "SIGTERM" })
end

local function scrub_error(secret, err)
  err.message = credentials.scrub(secret, err.message)
  err.stderr = credentials.scrub(secret, err.stderr)
  if type(err.result) == "table" then
    err.result.stdout = credentials.scrub(secret, err.result.stdout)
    err.result.stderr = credentials.scrub(secret, err.result.stderr)
  end
  if type(err.cause) == "table" and type(err.cause.message) == "string" then
    scrub_error(secret, err.cause)
  end
  return err
end

local function secret_of(job)
  return job.secret or job.credentials
end

--- Runs git. Returns the result whatever its exit code, or nil, err. The result
--- is unfiltered and may contain a secret.
---@param job wrenn.git.Job
function run.any(self, job)
  local result, err = execute(self, job)
  local cwd = job.call.cwd
  if result and cwd and result.exit_code == 128
    and result.stderr:find("cannot change to", 1, true)
  then
    result, err = directory.result(self.commands, cwd, result)
  end
  if not result then
    return nil, scrub_error(secret_of(job), err)
  end
  return result
end

--- The error for a result with another exit code than 0.
function run.failed(job, result)
  return scrub_error(secret_of(job), failure.of(job.op, result, job.network))
end

--- Runs git; a non-zero exit code is nil, GitAuthError or GitCommandError.
---@param job wrenn.git.Job
function run.git(self, job)
  local result, err = run.any(self, job)
  if not result then
    return nil, err
  elseif result.exit_code ~= 0 then
    return nil, run.failed(job, result)
  end
  result.stdout = credentials.scrub(secret_of(job), result.stdout)
  result.stderr = credentials.scrub(secret_of(job), result.stderr)
  return result
end

return run
