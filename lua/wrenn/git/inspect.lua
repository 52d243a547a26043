--- The methods of capsule.git that inspect a repository.

local errors = require("wrenn.errors")
local parse = require("wrenn.git.parse")
local run = require("wrenn.git.run")
local words = require("wrenn.git.words")

---@class (partial) wrenn.Git
local Git = {}

-- Returns the parsed output of git, or an error if there is none.
local function understood(value, op)
  if not value then
    return nil, errors.new("ProtocolError",
      ("git %s printed something unexpected"):format(op))
  end
  return value
end

---@class wrenn.GitFile
---@field path string              bytes, from the top of the repository
---@field index_status string      git's letter, " " when unchanged
---@field work_tree_status string  likewise
---@field renamed_from? string     of a renamed or copied one
---@field staged boolean           the index has a change to commit
---@field status string  "conflict", "renamed", "copied", "deleted", "added",
---  "modified", "typechange", "untracked" or "unknown"

---@class wrenn.GitStatus
---@field branch? string   the short hash when detached
---@field commit? string   its hash; nil if there is none yet
---@field upstream? string also if it no longer exists
---@field ahead integer    commits that the upstream lacks
---@field behind integer   commits that only the upstream has
---@field detached boolean  there is no branch
---@field files wrenn.GitFile[]  those that differ
---@field is_clean boolean  there are none
---@field has_staged boolean  one of them is staged
---@field has_untracked boolean  one of them is not tracked
---@field has_conflicts boolean  one of them has a conflict

--- git status.
---@param opts? wrenn.GitOptions
---@return wrenn.GitStatus|nil
---@return wrenn.Error? err
function Git:status(opts)
  local call = words.take(self, "status", {}, {}, opts)
  local result, err = run.git(self, { op = "status", call = call,
    args = { "status", "--porcelain=v2", "--branch", "-z" } })
  if not result then
    return nil, err
  end
  return understood(parse.status(result.stdout), "status")
end

--- Lists the local branches: git for-each-ref.
---@param opts? wrenn.GitOptions
---@return {name: string, is_current: boolean}[]|nil
---@return wrenn.Error? err
function Git:branches(opts)
  local call = words.take(self, "branches", {}, {}, opts)
  local result, err = run.git(self, { op = "branch", call = call,
    args = { "for-each-ref", "--format=" .. parse.BRANCHES, "refs/heads" } })
  if not result then
    return nil, err
  end
  return understood(parse.branches(result.stdout), "for-each-ref")
end

---@class wrenn.GitCommit
---@field hash string         the whole
---@field short_hash string   as short as it is unique
---@field author_name string  who wrote it
---@field author_email string  likewise
---@field date string         ISO 8601, of the author
---@field timestamp integer   the same in Unix seconds
---@field subject string      the first paragraph of the message
---@field body string         the rest of it
---@field parents string[]    hashes
---@field refs string[]       "HEAD", "main", "origin/main", "tag: v1"

---@class wrenn.GitLogOptions: wrenn.GitOptions
---@field max_count? integer  of commits
---@field ref? string    where to start, or a range ("HEAD")
---@field paths? string|string[]  only commits that touch these

--- git log, newest first; an empty array if there are no commits yet.
---@param opts? wrenn.GitLogOptions
---@return wrenn.GitCommit[]|nil
---@return wrenn.Error? err
function Git:log(opts)
  local call = words.take(self, "log", {}, { max_count = "positive",
    ref = "string", paths = "list|string" }, opts)
  local job = { op = "log", call = call,
    args = words.add({ "log", "-z", "--no-color", "--no-show-signature",
      "--encoding=UTF-8", "--format=" .. parse.LOG },
      call.max_count and ("--max-count=%d"):format(call.max_count),
      call.ref, "--", call.paths) }
  local result, err = run.any(self, job)
  if not result then
    return nil, err
  elseif result.exit_code ~= 0 then
    if not call.ref
      and result.stderr:find("does not have any commits yet", 1, true)
    then
      return {}
    end
    return nil, run.failed(job, result)
  end
  return understood(parse.log(result.stdout), "log")
end

---@class wrenn.GitDiffOptions: wrenn.GitOptions
---@field staged? boolean     compare the index with a commit
---@field ref? string         compare with this commit, or a range
---@field paths? string|string[]  only these
---@field stat? boolean       a summary for people
---@field name_only? boolean  return an array of the changed paths

--- git diff: by default the changes that are not staged.
---@param opts? wrenn.GitDiffOptions
---@return string|string[]|nil  the text, in bytes; an array with name_only
---@return wrenn.Error? err
function Git:diff(opts)
  local call = words.take(self, "diff", {}, { staged = "boolean",
    ref = "string", paths = "list|string", stat = "boolean",
    name_only = "boolean" }, opts)
  if call.stat and call.name_only then
    words.refuse("option", "stat", "diff", "it goes without name_only", 2)
  end
  local result, err = run.git(self, { op = "diff", call = call,
    args = words.add({ "diff", "--no-color", "--no-ext-diff" },
      call.staged and "--cached", call.stat and "--stat",
      call.name_only and { "--name-only", "-z" }, call.ref, "--",
      call.paths) })
  if not result then
    return nil, err
  end
  if call.name_only then
    return understood(parse.names(result.stdout), "diff")
  end
  return result.stdout
end

return Git
