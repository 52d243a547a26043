--- A capsule: a microVM that is created, used and destroyed.

local check = require("wrenn.check")
local cleanup = require("wrenn.task.cleanup")
local clients = require("wrenn.client")
local commands = require("wrenn.commands")
local core = require("wrenn.core")
local errors = require("wrenn.errors")
local files = require("wrenn.files")
local git = require("wrenn.git")
local keepalive = require("wrenn.client.keepalive")
local nested = require("wrenn.task.nested")
local proxy = require("wrenn.capsule.proxy")
local pty = require("wrenn.pty")
local revive = require("wrenn.client.revive")
local scheduler = require("wrenn.task.scheduler")
local snapshots = require("wrenn.client.snapshots")
local task = require("wrenn.task")
local wait = require("wrenn.client.status")

---@class wrenn.Capsule
---@overload fun(opts?: wrenn.CapsuleOptions): wrenn.Capsule|nil, wrenn.Error?
---@field id string      "cl-..."
---@field info wrenn.CapsuleInfo  what the server last said about it
---@field client wrenn.Client  the client of its calls
---@field commands wrenn.Commands  running commands
---@field files wrenn.Files  reading, writing and copying files
---@field git wrenn.Git  git repositories
local Capsule = { is_capsule = true }
Capsule.__index = Capsule

local shared_spec = { api_key = "string", base_url = "string",
  client = "table" }

-- The options of a call: its own, and those that select the client.
local function spec_with(own)
  local spec = {}
  for _, names in ipairs({ shared_spec, own }) do
    for name, kind in pairs(names) do
      spec[name] = kind
    end
  end
  return spec
end

-- `level` is that of error: 3 is the caller of the calling method.
local function options(opts, fname, spec, level)
  level = level or 3
  check.dot(opts, "is_capsule", fname, level)
  opts = check.options(opts, fname, spec, level)
  if opts.client and not opts.client.is_client then
    error(("bad option 'client' to '%s' (wrenn.Client expected)")
      :format(fname), level)
  end
  for _, name in ipairs(clients.shared_names) do
    if opts.client and opts[name]
      and not clients.agrees(opts.client, name, opts[name])
    then
      error(("bad option '%s' to '%s' (the client that is given has another)")
        :format(name, fname), level)
    end
  end
  return opts
end

local function new(class, client, info, owned)
  local id = info.id
  local runner = commands.new(client, id)
  local self = setmetatable({
    id = id, info = info, client = client,
    owned = owned and core.pid(),
    commands = runner,
    files = files.new(client, id, runner),
    git = git.new(runner),
  }, class)
  runner.owner = self
  return self
end

-- Handles both forms of a call: a capsule and options, or an id and options
-- that also select the client. Returns client, id, opts, and the capsule if
-- there is one; or nil, err.
local function target(self_or_id, opts, fname, spec)
  if type(self_or_id) == "string" then
    check.text(self_or_id, "id", fname, 3)
    opts = options(opts, fname, spec, 4)
    local client, err = clients.from_options(opts)
    if not client then
      return nil, err
    end
    return client, self_or_id, opts
  end
  if type(self_or_id) ~= "table" or not self_or_id.is_capsule then
    error(("bad argument 'id' to '%s' (a capsule or its id expected, got %s)")
      :format(fname, type(self_or_id)), 3)
  end
  opts = options(opts, fname, spec, 4)
  return opts.client or self_or_id.client, self_or_id.id, opts, self_or_id
end

-- ---- making ----------------------------------------------------------------

local create_spec = spec_with(clients.create_spec)
create_spec.wait, create_spec.wait_timeout = "boolean", "seconds"
create_spec.auto_resume, create_spec.keepalive = "boolean", "seconds"

-- Destroys the capsule of a failed call, in the background if the caller was
-- interrupted.
local function take_back(client, id)
  cleanup.run(client, "destroy " .. id, client.capsules.destroy,
    client.capsules, id)
end

-- An answer with missing fields may still have created a capsule.
local function make(client, request)
  local info, err = client.capsules:create(request)
  local told = err and err.details and err.details.answer
  if type(told) == "table" and type(told.id) == "string" and told.id ~= "" then
    take_back(client, told.id)
  end
  return info, err
end

local function unmake(info, client)
  take_back(client, info.id)
end

-- The options that stay with a capsule.
local function apply(client, id, opts)
  if opts.auto_resume then
    revive.want(client, id)
  end
  if opts.keepalive then
    keepalive.want(client, id, opts.keepalive)
  end
end

local function create_held(class, opts)
  local client, err = clients.from_options(opts)
  if not client then
    return nil, err
  end
  local request = {}
  for name in pairs(clients.create_spec) do
    request[name] = opts[name]
  end
  local info
  info, err = task.complete(make, unmake, client, request)
  if not info then
    return nil, err
  end
  local self = new(class, client, info, true)
  apply(client, info.id, opts)
  if opts.wait then
    local lift = task.guard(unmake, info, client)
    local called, ok
    called, ok, err =
      nested.call(self.wait_ready, self, { timeout = opts.wait_timeout })
    lift()
    if not called then -- Ctrl-C
      take_back(client, info.id)
      errors.raise(ok)
    elseif not ok then
      take_back(client, info.id)
      return nil, err
    end
  end
  return self
end

local function undo(self)
  if self then
    take_back(self.client, self.id)
  end
end

local function create(class, opts)
  return scheduler.held(undo, create_held, class, opts)
end

---@class wrenn.CapsuleOptions: wrenn.CreateOptions
---@field wait? boolean          return once it is running (false)
---@field wait_timeout? number   seconds to wait (30)
---@field auto_resume? boolean   brings it back when it turns out to be paused;
---  see wrenn.ClientOptions
---@field keepalive? number      seconds; see wrenn.ClientOptions
---@field api_key? string        else WRENN_API_KEY
---@field base_url? string       else WRENN_BASE_URL
---@field client? wrenn.Client   instead of the two

--- Creates a capsule. wrenn.Capsule{...} is the same. POST /v1/capsules.
---@param opts? wrenn.CapsuleOptions
---@return wrenn.Capsule|nil
---@return wrenn.Error? err  when the wait failed, the capsule has been
---  destroyed again
function Capsule.create(opts)
  opts = options(opts, "create", create_spec)
  return create(Capsule, opts)
end

local connect_spec =
  spec_with({ wait_timeout = "seconds", auto_resume = "boolean",
    keepalive = "seconds" })

local function connect(class, id, opts)
  local client, err = clients.from_options(opts)
  if not client then
    return nil, err
  end
  local info
  info, err = revive.bring_back(client, id, opts.wait_timeout)
  if not info then
    return nil, err
  end
  apply(client, id, opts)
  return new(class, client, info, false)
end

--- Connects to an existing capsule: waits while it is being paused, resumes it
--- if it is paused, and waits until it is running. GET .../{id}, POST
--- .../resume; on 0.1 servers also POST .../ping.
---@param id string
---@param opts? {wait_timeout?: number, auto_resume?: boolean, keepalive?: number, api_key?: string, base_url?: string, client?: wrenn.Client}
---@return wrenn.Capsule|nil
---@return wrenn.Error? err
function Capsule.connect(id, opts)
  check.dot(id, "is_capsule", "connect")
  check.text(id, "id", "connect")
  opts = options(opts, "connect", connect_spec)
  return connect(Capsule, id, opts)
end

-- For derived classes: the checks of the options, and the constructors.
Capsule.extension = {
  options = options, create = create, connect = connect,
  create_spec = create_spec, connect_spec = connect_spec,
}

local list_spec = spec_with({
  status = "string", template = "string", metadata = "map",
})

local function matches(info, opts)
  if opts.status and info.status ~= opts.status
    or opts.template and info.template ~= opts.template
  then
    return false
  end
  for name, value in pairs(opts.metadata or {}) do
    if (info.metadata or {})[name] ~= value then
      return false
    end
  end
  return true
end

--- Lists the team's capsules, newest first. The filters are applied locally.
--- GET /v1/capsules.
---@param opts? {status?: string, template?: string, metadata?: table<string, string>, api_key?: string, base_url?: string, client?: wrenn.Client}
---@return wrenn.CapsuleInfo[]|nil infos
---@return wrenn.Error? err
function Capsule.list(opts)
  opts = options(opts, "list", list_spec)
  local client, err = clients.from_options(opts)
  if not client then
    return nil, err
  end
  local all
  all, err = client.capsules:list()
  if not all then
    return nil, err
  end
  local chosen = {}
  for _, info in ipairs(all) do
    if matches(info, opts) then
      chosen[#chosen + 1] = info
    end
  end
  return chosen
end

-- ---- lifecycle -------------------------------------------------------------

local change_spec = spec_with({ wait = "boolean", timeout = "seconds" })

-- Requests a change of status and, with `wait`, waits for it.
local function change(fname, client, id, opts, self)
  if not client then
    return nil, id
  end
  local info, err = client.capsules[fname](client.capsules, id)
  if info and opts.wait then
    info, err = wait.for_status(client, id, fname, opts.timeout)
  end
  if not info then
    return nil, err
  end
  if self and type(info) == "table" then
    self.info = info
  end
  return info
end

--- Destroys a capsule. DELETE /v1/capsules/{id}.
---@param self_or_id wrenn.Capsule|string
---@param opts? {wait?: boolean, timeout?: number}  timeout: seconds (30)
---@return true|nil
---@return wrenn.Error? err
function Capsule.destroy(self_or_id, opts)
  local info, err = change("destroy",
    target(self_or_id, opts, "destroy", change_spec))
  if not info then
    return nil, err
  end
  if type(self_or_id) == "table" then
    self_or_id.owned = false
  end
  return true
end

--- Pauses a capsule: its processes are stopped. POST /v1/capsules/{id}/pause.
---@param self_or_id wrenn.Capsule|string
---@param opts? {wait?: boolean, timeout?: number}  timeout: seconds (30)
---@return wrenn.CapsuleInfo|nil info
---@return wrenn.Error? err
function Capsule.pause(self_or_id, opts)
  return change("pause", target(self_or_id, opts, "pause", change_spec))
end

--- Resumes a paused capsule. POST /v1/capsules/{id}/resume.
---@param self_or_id wrenn.Capsule|string
---@param opts? {wait?: boolean, timeout?: number}  timeout: seconds (30)
---@return wrenn.CapsuleInfo|nil info
---@return wrenn.Error? err
function Capsule.resume(self_or_id, opts)
  return change("resume", target(self_or_id, opts, "resume", change_spec))
end

local plain_spec = spec_with({})

local function ask(client, id, _, self)
  if not client then
    return nil, id
  end
  local info, err = client.capsules:get(id)
  if info and self then
    self.info = info
  end
  return info, not info and err or nil
end

--- Returns the server's information about a capsule. GET /v1/capsules/{id}.
---@param self_or_id wrenn.Capsule|string
---@param opts? table
---@return wrenn.CapsuleInfo|nil info
---@return wrenn.Error? err
function Capsule.get_info(self_or_id, opts)
  return ask(target(self_or_id, opts, "get_info", plain_spec))
end

--- Counts as activity, which keeps the capsule from being paused. POST
--- .../ping.
---@param self_or_id wrenn.Capsule|string
---@param opts? table
---@return true|nil
---@return wrenn.Error? err
function Capsule.ping(self_or_id, opts)
  local client, id = target(self_or_id, opts, "ping", plain_spec)
  if not client then
    return nil, id
  end
  return client.capsules:ping(id)
end

--- Waits until a capsule is running.
---@param self_or_id wrenn.Capsule|string
---@param opts? {timeout?: number}  seconds (30)
---@return wrenn.CapsuleInfo|nil info
---@return wrenn.Error? err  CapsuleStateError if it cannot be running any more,
---   TimeoutError with the last status
function Capsule.wait_ready(self_or_id, opts)
  local client, id, checked, self = target(self_or_id, opts, "wait_ready",
    spec_with({ timeout = "seconds" }))
  if not client then
    return nil, id
  end
  local info, err = wait.for_status(client, id, "ready", checked.timeout)
  if info and self then
    self.info = info
  end
  return info, err
end

--- Whether a capsule is running. Asks the server, or, where its answer is not
--- reliable (0.1), the capsule: a ping, which counts as activity.
---@param self_or_id wrenn.Capsule|string
---@param opts? table
---@return boolean|nil
---@return wrenn.Error? err
function Capsule.is_running(self_or_id, opts)
  local client, id, checked, self =
    target(self_or_id, opts, "is_running", plain_spec)
  local info, err = ask(client, id, checked, self)
  if not info then
    return nil, err
  end
  return wait.runs(client, info)
end

-- At the end of a scope, destroys a capsule made by create, except in a forked
-- child. A failure must not hide the error that ended the scope.
function Capsule:__close()
  if self.owned == core.pid() then
    cleanup.run(self.client, "destroy " .. self.id, self.destroy, self)
  end
end

function Capsule:__tostring()
  return "wrenn.Capsule (" .. self.id .. ")"
end

-- ---- snapshots and metrics -------------------------------------------------

--- Creates a template from the capsule; see wrenn.Snapshots:create. POST
--- /v1/snapshots.
---@param opts? wrenn.SnapshotOptions
---@return wrenn.Template|nil
---@return wrenn.Error? err
function Capsule:create_snapshot(opts)
  check.self(self, "is_capsule", "create_snapshot")
  opts = check.options(opts, "create_snapshot", snapshots.create_spec)
  return self.client.snapshots:create(self.id, opts)
end

--- Returns the resource usage of the capsule; see wrenn.Capsules:metrics. GET
--- /v1/capsules/{id}/metrics.
---@param opts? {range?: string}  "10m"
---@return {sandbox_id: string, range: string, points: table[]}|nil
---@return wrenn.Error? err
function Capsule:metrics(opts)
  check.self(self, "is_capsule", "metrics")
  opts = check.options(opts, "metrics", { range = "string" })
  return self.client.capsules:metrics(self.id, opts)
end

-- ---- ports and terminals ---------------------------------------------------

---@class wrenn.UrlOptions
---@field scheme? "http"|"ws"  "http"; secure where the API is

--- Returns the URL of a port of the capsule, through the port proxy. Its domain
--- is the client's `proxy_domain`.
---@type fun(self: wrenn.Capsule, port: integer, opts?: wrenn.UrlOptions): string
Capsule.get_url = proxy.get_url

---@class wrenn.PortRequest
---@field method? string      "GET"
---@field path? string        with its query, escaped ("/")
---@field headers? table<string, string>  by name
---@field body? string        none when absent
---@field timeout? number     seconds (the client's)

---@class wrenn.PortAnswer
---@field status integer      of HTTP
---@field headers table<string, string>  by names in lower case
---@field body string         bytes

--- Sends a request to a port of the capsule, through the port proxy, without
--- the API key. Any answer is a result, including a 404, or a 502 of the proxy.
--- Redirects are not followed, and nothing is repeated. Returns nil, err if
--- there was no answer.
---@type fun(self: wrenn.Capsule, port: integer, opts?: wrenn.PortRequest): wrenn.PortAnswer?, wrenn.Error?
Capsule.request = proxy.request

---@class wrenn.PortSocketOptions
---@field path? string        with its query, escaped ("/")
---@field headers? table<string, string>  by name

--- Opens a WebSocket to a port of the capsule, through the port proxy, without
--- the API key. Returns the WebSocket, nil, nil and the WebSocket again, for
--- use in `for`; or nil, err. A refused upgrade is an error according to its
--- status.
---@type fun(self: wrenn.Capsule, port: integer, opts?: wrenn.PortSocketOptions): wrenn.WebSocket?, wrenn.Error?
Capsule.websocket = proxy.websocket

local pty_spec = {
  cmd = "string", args = "list", cols = "word", rows = "word",
  envs = "map", cwd = "string", user = "string", encoding = "string",
  check = "boolean",
}

local function four(term, err)
  if not term then
    return nil, err
  end
  return term, nil, nil, term
end

---@class wrenn.PtyOptions
---@field cmd? string            the program ("/bin/bash")
---@field args? string[]         its arguments
---@field cols? integer          columns (80)
---@field rows? integer          lines (24)
---@field envs? table<string, string>  TERM is not set by itself
---@field cwd? string            the home directory when absent
---@field user? string           the capsule's default user when absent
---@field encoding? "base64"|"binary"  found out when absent
---@field check? boolean         a loop over the terminal raises at an end without
---  an exit event and at an exit code that is not 0, instead of just ending

--- Starts a terminal. WebSocket /v1/capsules/{id}/pty.
---@param opts? wrenn.PtyOptions
---@return wrenn.Pty|nil
---@return wrenn.Error? err
---@return any ...  nil and the object again, for `for`
function Capsule:pty(opts)
  check.self(self, "is_capsule", "pty")
  opts = check.options(opts, "pty", pty_spec)
  if opts.encoding and opts.encoding ~= "base64"
    and opts.encoding ~= "binary"
  then
    error("bad option 'encoding' to 'pty' (base64 or binary expected)", 2)
  end
  commands.check_texts(opts, "pty", 2)
  return four(pty.start(self.commands, opts))
end

--- Connects to a running terminal. WebSocket /v1/capsules/{id}/pty.
---@param tag string  from its started event
---@param opts? {check?: boolean}  as for pty
---@return wrenn.Pty|nil
---@return wrenn.Error? err  NotFoundError if there is no terminal with that tag
---@return any ...  nil and the object again, for `for`
function Capsule:pty_connect(tag, opts)
  check.self(self, "is_capsule", "pty_connect")
  check.text(tag, "tag", "pty_connect")
  check.utf8(tag, "argument", "tag", "pty_connect")
  opts = check.options(opts, "pty_connect", { check = "boolean" })
  return four(pty.connect(self.commands, tag, opts))
end

---@type wrenn.Capsule
local M = setmetatable({}, {
  __index = Capsule,
  __call = function(_, opts)
    return Capsule.create(opts)
  end,
})

return M
