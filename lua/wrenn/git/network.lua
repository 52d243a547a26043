--- The methods of capsule.git that contact other repositories.

local credentials = require("wrenn.git.credentials")
local errors = require("wrenn.errors")
local run = require("wrenn.git.run")
local words = require("wrenn.git.words")

---@class (partial) wrenn.Git
local Git = {}

local CLONE_TIMEOUT, TIMEOUT = 300, 60

-- ---- storing credentials ---------------------------------------------------

-- Edits the configuration with git's own editor hook: the text is passed in the
-- environment, as every command that sets a value has it on its command line.
local EDITOR = [[f() { git config --file "$1" --unset-all "$WRENN_GIT_KEY"; ]]
  .. [[printf "%s\n" "$WRENN_GIT_TEXT" >>"$1"; }; f]]

local function quoted(text)
  return '"' .. text:gsub('["\\]', "\\%0") .. '"'
end

-- Puts the credentials into the URL of a remote, in .git/config.
local function store(self, op, call, remote, address, cred)
  return run.git(self, { op = op, call = call, secret = cred,
    args = words.add({}, call.dest and { "-C", call.dest },
      { "config", "--local", "--edit" }),
    envs = {
      GIT_EDITOR = EDITOR,
      WRENN_GIT_KEY = "remote." .. remote .. ".url",
      WRENN_GIT_TEXT = ("[remote %s]\n\turl = %s"):format(quoted(remote),
        quoted(credentials.embed(address, cred))),
    } })
end

-- ---- clone -----------------------------------------------------------------

local clone_spec = {
  url = "string", dest = "string", branch = "string", depth = "positive",
  username = "string", password = "string",
  dangerously_store_credentials = "boolean",
}

---@class wrenn.GitCloneOptions: wrenn.GitRemoteOptions
---@field dest? string     the directory; by default named after the URL
---@field branch? string   fetch only this one
---@field depth? integer   number of commits of history
---@field dangerously_store_credentials? boolean  keep them in .git/config

--- git clone. Credentials, including those in the URL, are sent to the host of
--- the URL, for this command only; the URL is stored without them. A path or a
--- file:// URL is a directory of the capsule, not one of this machine.
---@param url string
---@param dest? string
---@param opts? wrenn.GitCloneOptions  timeout: 300
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err  GitAuthError, GitCommandError or as for
---  commands:run
function Git:clone(url, dest, opts)
  local call = words.take(self, "clone", { "url", "dest?" }, clone_spec,
    url, dest, opts)
  local address, cred =
    credentials.for_address(call, call.url, "url", "clone", 3)
  local keep = call.dangerously_store_credentials and cred
  if keep and not call.dest then
    call.dest = credentials.directory_of(address)
      or words.refuse("argument", "dest", "clone",
        "the URL names no directory", 2)
  end
  local result, err = run.git(self, { op = "clone", call = call,
    timeout = CLONE_TIMEOUT, credentials = cred, network = true,
    args = words.add({ "clone" },
      call.branch and { "--branch", call.branch, "--single-branch" },
      call.depth and { "--depth", ("%d"):format(call.depth) },
      "--", address, call.dest) })
  if result and keep then
    local ok
    ok, err = store(self, "clone", call, "origin", address, cred)
    result = ok and result
  end
  return result, err
end

-- ---- push, pull, fetch -----------------------------------------------------

local function is_missing(result)
  return result.stderr:lower():find("no such remote", 1, true) ~= nil
end

-- The URL of a remote, which its credentials belong to.
local function look_up(self, op, call, cred)
  local job = { op = op, call = call, secret = cred,
    args = words.add({ "remote", "get-url" }, op == "push" and "--push",
      "--", call.remote) }
  local result, err = run.any(self, job)
  if result and result.exit_code ~= 0 then
    err = run.failed(job, result)
    if is_missing(result) then
      err.message = ("Remote '%s' not found."):format(call.remote)
    end
    result = nil
  end
  if not result then
    return nil, err
  end
  local address = result.stdout:match("^[^\n]*")
  local clean, origin, embedded = credentials.take_apart(address)
  if not clean then
    return nil, errors.new("GitError", ("git %s: credentials go to http and "
      .. "https addresses only, and remote '%s' has another"):format(op,
      call.remote), { stderr = "", exit_code = 0 })
  end
  cred.origin, cred.stored = origin, embedded and address
  return cred
end

-- The common part of the three. Called directly by the method.
local function transfer(self, op, call, args, cred)
  local err
  if cred and not cred.origin then
    cred, err = look_up(self, op, call, cred)
    if not cred then
      return nil, err
    end
  end
  return run.git(self, { op = op, call = call, args = args, credentials = cred,
    timeout = TIMEOUT, network = true })
end

-- The remote, or its address without credentials, and the credentials. Raises
-- at the caller of the method.
local function remote_of(call, op)
  call.remote = call.remote or "origin"
  local cred
  if credentials.is_address(call.remote) then
    call.remote, cred =
      credentials.for_address(call, call.remote, "remote", op, 4)
  else
    cred = credentials.given(call, op, 4)
  end
  return cred
end

local function transfer_spec(...)
  local spec = { remote = "string", branch = "string", username = "string",
    password = "string" }
  for _, name in ipairs({ ... }) do
    spec[name] = "boolean"
  end
  return spec
end

local push_spec = transfer_spec("force", "set_upstream")
local pull_spec = transfer_spec("rebase", "ff_only")
local fetch_spec = transfer_spec("prune", "all")

---@class wrenn.GitPushOptions: wrenn.GitRemoteOptions
---@field remote? string        "origin"; a URL works too
---@field branch? string        or a refspec: "a:b" pushes a to b, ":b" deletes
---  b
---   there, "+a" forces
---@field force? boolean        replace what is there
---@field set_upstream? boolean  make it the upstream of the branch

--- git push, also as push(opts).
---@param remote? string  "origin"
---@param branch? string
---@param opts? wrenn.GitPushOptions  timeout: 60
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err  GitAuthError, GitCommandError or as for
---  commands:run
function Git:push(remote, branch, opts)
  local call = words.take(self, "push", { "remote?", "branch?" }, push_spec,
    remote, branch, opts)
  local cred = remote_of(call, "push")
  return transfer(self, "push", call, words.add({ "push" },
    call.force and "--force", call.set_upstream and "--set-upstream",
    "--", call.remote, call.branch), cred)
end

---@class wrenn.GitPullOptions: wrenn.GitRemoteOptions
---@field remote? string    "origin"; a URL works too
---@field branch? string    the upstream's when absent
---@field rebase? boolean   instead of a merge
---@field ff_only? boolean  fail instead of a merge

--- git pull, also as pull(opts).
---@param remote? string  "origin"
---@param branch? string
---@param opts? wrenn.GitPullOptions  timeout: 60
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err  GitAuthError, GitCommandError or as for
---  commands:run
function Git:pull(remote, branch, opts)
  local call = words.take(self, "pull", { "remote?", "branch?" }, pull_spec,
    remote, branch, opts)
  local cred = remote_of(call, "pull")
  return transfer(self, "pull", call, words.add({ "pull" },
    call.rebase and "--rebase", call.ff_only and "--ff-only",
    "--", call.remote, call.branch), cred)
end

---@class wrenn.GitFetchOptions: wrenn.GitRemoteOptions
---@field remote? string   "origin"; a URL works too
---@field branch? string   all of them when absent
---@field prune? boolean   remove branches that no longer exist on the remote
---@field all? boolean     every remote; not with a remote or credentials

--- git fetch, also as fetch(opts).
---@param remote? string  "origin"
---@param branch? string
---@param opts? wrenn.GitFetchOptions  timeout: 60
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err  GitAuthError, GitCommandError or as for
---  commands:run
function Git:fetch(remote, branch, opts)
  local call = words.take(self, "fetch", { "remote?", "branch?" }, fetch_spec,
    remote, branch, opts)
  if call.all and (call.remote or call.branch or call.username) then
    words.refuse("option", "all", "fetch",
      "it goes without remote, branch and credentials", 2)
  end
  local cred = remote_of(call, "fetch")
  return transfer(self, "fetch", call, words.add({ "fetch" },
    call.prune and "--prune", call.all and "--all"
      or { "--", call.remote, call.branch }), cred)
end

-- ---- remotes ---------------------------------------------------------------

---@class wrenn.GitRemoteAddOptions: wrenn.GitOptions
---@field fetch? boolean   fetch from it at once
---@field dangerously_store_credentials? boolean  keep those in the URL, in
---   .git/config; without this they are misuse

--- git remote add.
---@param name string
---@param url string
---@param opts? wrenn.GitRemoteAddOptions  timeout: 30, 60 with fetch
---@return wrenn.CommandResult|nil
---@return wrenn.Error? err
function Git:remote_add(name, url, opts)
  local call = words.take(self, "remote_add", { "name", "url" }, {
    name = "string", url = "string", fetch = "boolean",
    dangerously_store_credentials = "boolean",
  }, name, url, opts)
  local address, cred =
    credentials.for_address(call, call.url, "url", "remote_add", 3)
  if cred and not call.dangerously_store_credentials then
    words.refuse("argument", "url", "remote_add", "it holds credentials: give"
      .. " them to push, pull and fetch, or set dangerously_store_credentials",
      2)
  end
  local result, err = run.git(self, { op = "remote add", call = call,
    timeout = call.fetch and TIMEOUT, network = call.fetch,
    args = words.add({ "remote", "add" }, call.fetch and not cred and "-f",
      "--", call.name, address) })
  if not result or not cred then
    return result, err
  end
  local ok
  ok, err = store(self, "remote add", call, call.name, address, cred)
  if ok and call.fetch then
    ok, err = run.git(self, { op = "fetch", call = call, timeout = TIMEOUT,
      network = true, secret = cred, args = { "fetch", "--", call.name } })
  end
  return ok and result, err
end

--- git remote get-url.
---@param name? string  "origin"
---@param opts? wrenn.GitOptions
---@return string|nil url  nil, nil if there is no such remote
---@return wrenn.Error? err
function Git:remote_get(name, opts)
  local call =
    words.take(self, "remote_get", { "name?" }, { name = "string" }, name, opts)
  local job = { op = "remote get-url", call = call,
    args = { "remote", "get-url", "--", call.name or "origin" } }
  local result, err = run.any(self, job)
  if not result then
    return nil, err
  elseif result.exit_code == 0 then
    return (result.stdout:gsub("\n$", ""))
  elseif is_missing(result) then
    return nil, nil
  end
  return nil, run.failed(job, result)
end

---@class wrenn.GitAuthenticateOptions: wrenn.GitOptions
---@field host? string      with its port, if any ("github.com")
---@field protocol? string  "http" or "https" ("https")

--- Stores credentials in the capsule for all later git commands, as plain text
--- in ~/.git-credentials: git config credential.helper store, git credential
--- approve. Any program in the capsule can read them.
---@param username string
---@param password string
---@param opts? wrenn.GitAuthenticateOptions
---@return true|nil
---@return wrenn.Error? err
function Git:dangerously_authenticate(username, password, opts)
  local name = "dangerously_authenticate"
  local call = words.take(self, name, { "username", "password" }, {
    username = "string", password = "string", host = "string",
    protocol = "string",
  }, username, password, opts)
  local cred = credentials.given(call, name, 3)
  if cred.password == "" then
    words.refuse("argument", "password", name, "it is empty", 2)
  end
  local host = call.host or "github.com"
  local protocol = call.protocol or "https"
  if host:find("[%s%c/@]") then
    words.refuse("option", "host", name, "a host and perhaps a port expected",
      2)
  elseif protocol ~= "https" and protocol ~= "http" then
    words.refuse("option", "protocol", name, "http or https expected", 2)
  end
  local result, err = run.git(self, { op = "config", call = call,
    args = { "config", "--global", "credential.helper", "store" } })
  if not result then
    return nil, err
  end
  local job = { op = "credential approve", call = call, secret = cred,
    args = { "credential", "approve" },
    input = ("protocol=%s\nhost=%s\nusername=%s\npassword=%s\n"):format(
      protocol, host, cred.username, cred.password) }
  result, err = run.git(self, job)
  if result and result.stderr:find("fatal:", 1, true) then
    return nil, run.failed(job, result) -- git ignores a failed helper
  end
  return result and true, err
end

return Git
