--- The methods of capsule.git that change a repository.

local run = require("wrenn.git.run")
local words = require("wrenn.git.words")

---@class (partial) wrenn.Git
local Git = {}

---@class wrenn.GitInitOptions: wrenn.GitOptions
---@field bare? boolean    without a work tree
---@field initial_branch? string  git's default when absent

--- git init.
---@param path? string  "."
---@param opts? wrenn.GitInitOptions
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err
function Git:init(path, opts)
  local call = words.take(self, "init", { "path?" }, { path = "string",
    bare = "boolean", initial_branch = "string" }, path, opts)
  return run.git(self, { op = "init", call = call,
    args = words.add({ "init" },
      call.initial_branch and { "--initial-branch", call.initial_branch },
      call.bare and "--bare", "--", call.path or ".") })
end

---@class wrenn.GitAddOptions: wrenn.GitOptions
---@field all? boolean   all changes, including removals, in the whole
---  repository

--- git add: the current directory if there are no paths; everything with all.
--- Paths are pathspecs: patterns, or ":(literal)x" for a name like a pattern.
---@param paths? string|string[]  an empty array is misuse
---@param opts? wrenn.GitAddOptions
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err
function Git:add(paths, opts)
  local call = words.take(self, "add", { "paths?" },
    { paths = "list|string", all = "boolean" }, paths, opts)
  return run.git(self, { op = "add", call = call,
    args = words.add({ "add" }, call.all and "-A",
      call.paths and { "--" } or not call.all and ".", call.paths) })
end

---@class wrenn.GitCommitOptions: wrenn.GitOptions
---@field allow_empty? boolean  commit without a change
---@field author_name? string   also of the committer; "": git's default
---@field author_email? string  likewise

local function identity(key, value)
  return value and value ~= "" and { "-c", key .. "=" .. value }
end

--- git commit.
---@param message string
---@param opts? wrenn.GitCommitOptions
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err  GitCommandError also if nothing is staged
function Git:commit(message, opts)
  local call = words.take(self, "commit", { "message" }, { message = "string",
    allow_empty = "boolean", author_name = "string", author_email = "string",
  }, message, opts)
  -- Newer servers replace a leading "~" in an argument by the home directory.
  local words_of_it = call.message:find("^~") and "-m" .. call.message
    or { "-m", call.message }
  return run.git(self, { op = "commit", call = call,
    args = words.add({},
      identity("user.name", call.author_name),
      identity("user.email", call.author_email),
      "commit", words_of_it, call.allow_empty and "--allow-empty") })
end

-- ---- branches --------------------------------------------------------------

---@class wrenn.GitCreateBranchOptions: wrenn.GitOptions
---@field start_point? string  a commit ("HEAD")

--- Creates a branch and switches to it: git checkout -b.
---@param name string
---@param opts? wrenn.GitCreateBranchOptions
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err
function Git:create_branch(name, opts)
  local call = words.take(self, "create_branch", { "name" },
    { name = "string", start_point = "string" }, name, opts)
  return run.git(self, { op = "checkout", call = call,
    args = words.add({ "checkout", "-b", call.name },
      call.start_point and { call.start_point, "--" }) })
end

--- Switches to a branch, or to any commit: git checkout. Never restores a file
--- of that name.
---@param name string
---@param opts? wrenn.GitOptions
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err
function Git:checkout_branch(name, opts)
  local call = words.take(self, "checkout_branch", { "name" },
    { name = "string" }, name, opts)
  return run.git(self, { op = "checkout", call = call,
    args = { "checkout", call.name, "--" } })
end

---@class wrenn.GitDeleteBranchOptions: wrenn.GitOptions
---@field force? boolean   even if it is not merged

--- git branch -d; -D with force.
---@param name string
---@param opts? wrenn.GitDeleteBranchOptions
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err
function Git:delete_branch(name, opts)
  local call = words.take(self, "delete_branch", { "name" },
    { name = "string", force = "boolean" }, name, opts)
  return run.git(self, { op = "branch", call = call,
    args = { "branch", call.force and "-D" or "-d", "--", call.name } })
end

-- ---- undoing ---------------------------------------------------------------

local modes =
  { soft = true, mixed = true, hard = true, merge = true, keep = true }

---@class wrenn.GitResetOptions: wrenn.GitOptions
---@field mode? "soft"|"mixed"|"hard"|"merge"|"keep"  git's ("mixed")
---@field ref? string   a commit ("HEAD")
---@field paths? string|string[]  unstage these

--- git reset.
---@param opts? wrenn.GitResetOptions
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err
function Git:reset(opts)
  local call = words.take(self, "reset", {},
    { mode = "string", ref = "string", paths = "list|string" }, opts)
  if call.mode and not modes[call.mode] then
    words.refuse("option", "mode", "reset",
      "soft, mixed, hard, merge or keep expected", 2)
  end
  return run.git(self, { op = "reset", call = call,
    args = words.add({ "reset" }, call.mode and "--" .. call.mode, call.ref,
      (call.ref or call.paths) and "--", call.paths) })
end

---@class wrenn.GitRestoreOptions: wrenn.GitOptions
---@field staged? boolean    those of the index
---@field worktree? boolean  those of the work tree; the default if neither is given
---@field source? string     the commit to restore from

--- git restore: files in the work tree by default.
---@param paths string|string[]
---@param opts? wrenn.GitRestoreOptions
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err
function Git:restore(paths, opts)
  local call = words.take(self, "restore", { "paths" },
    { paths = "list|string", staged = "boolean", worktree = "boolean",
      source = "string" }, paths, opts)
  return run.git(self, { op = "restore", call = call,
    args = words.add({ "restore" },
      (call.worktree or not call.staged) and "--worktree",
      call.staged and "--staged",
      call.source and { "--source", call.source }, "--", call.paths) })
end

-- ---- configuration ---------------------------------------------------------

local scopes = { ["local"] = true, global = true, system = true }

-- The scope is given or has a default; only the local scope needs a directory.
local function scoped(call, fname, default)
  call.scope = call.scope or default
  if not scopes[call.scope] then
    words.refuse("option", "scope", fname, "local, global or system expected",
      3)
  elseif call.scope ~= "local" then
    call.cwd = nil
  end
  return call
end

local function set(self, call, key, value)
  return run.git(self, { op = "config", call = call,
    args = words.add({ "config", "--" .. call.scope },
      value:find("^%-") and "--", key, value) })
end

---@class wrenn.GitConfigOptions: wrenn.GitOptions
---@field scope? "local"|"global"|"system"  "local"; "global" in configure_user

--- git config KEY VALUE.
---@param key string   e.g. "user.name"
---@param value string
---@param opts? wrenn.GitConfigOptions
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err
function Git:set_config(key, value, opts)
  local call = scoped(words.take(self, "set_config", { "key", "value" },
    { key = "string", value = "string", scope = "string" }, key, value, opts),
    "set_config", "local")
  return set(self, call, call.key, call.value)
end

--- git config --get.
---@param key string
---@param opts? wrenn.GitConfigOptions
---@return string|nil value  nil, nil if it is not set
---@return wrenn.Error? err
function Git:get_config(key, opts)
  local call = scoped(words.take(self, "get_config", { "key" },
    { key = "string", scope = "string" }, key, opts), "get_config", "local")
  local job = { op = "config", call = call,
    args = { "config", "--" .. call.scope, "--null", "--get", call.key } }
  local result, err = run.any(self, job)
  if not result then
    return nil, err
  elseif result.exit_code == 0 then
    return (result.stdout:gsub("[%z\n]$", ""))
  elseif result.exit_code == 1 and result.stderr == "" then
    return nil, nil
  end
  return nil, run.failed(job, result)
end

--- Sets user.name and user.email.
---@param name string
---@param email string
---@param opts? wrenn.GitConfigOptions
---@return true|nil
---@return wrenn.Error? err
function Git:configure_user(name, email, opts)
  local call = scoped(words.take(self, "configure_user", { "name", "email" },
    { name = "string", email = "string", scope = "string" }, name, email, opts),
    "configure_user", "global")
  local ok, err = set(self, call, "user.name", call.name)
  if ok then
    ok, err = set(self, call, "user.email", call.email)
  end
  return ok and true, err
end

return Git
