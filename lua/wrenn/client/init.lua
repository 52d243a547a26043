--- The low-level client: one method for each endpoint of the API.

local check = require("wrenn.check")
local config = require("wrenn.client.config")
local fate = require("wrenn.client.fate")
local http = require("wrenn.wire.http")
local revive = require("wrenn.client.revive")
local scheduler = require("wrenn.task.scheduler")

local Capsules = require("wrenn.client.capsules")
local resources = {
  capsules = Capsules,
  events = require("wrenn.client.events"),
  snapshots = require("wrenn.client.snapshots"),
  volumes = require("wrenn.client.volumes"),
}

---@class wrenn.Client
---@field capsules wrenn.Capsules  /v1/capsules
---@field events wrenn.Events  /v1/events
---@field snapshots wrenn.Snapshots  /v1/snapshots
---@field volumes wrenn.Volumes  /v1/volumes
local Client = { is_client = true, revive = revive, fate = fate.of }
Client.__index = Client

-- A printed client must not contain the key.
function Client:__tostring()
  return "wrenn.Client (" .. self.settings.base_url .. ")"
end

--- GET /health, with a time limit of `timeout`.
---@param opts? {timeout?: number}
---@return {status: string, version: string}|nil
---@return wrenn.Error? err
function Client:health(opts)
  check.self(self, "is_client", "health")
  opts = check.options(opts, "health", { timeout = "seconds" })
  local answer, err = http.call(self,
    { method = "GET", path = "/health", timeout = opts.timeout }, "health")
  return answer, not answer and err or nil
end

--- Closes the client: later calls through it return nil, err. Calls in progress
--- continue, and so does what tidies up; unused connections are closed.
function Client:close()
  self.closed = true
  scheduler.let_go(self.settings.owner)
end

Client.__close = Client.close

local M = {}

local count = 0 -- number of clients created

---@class wrenn.RequestEvent
---@field type "request"  which of the two events it is
---@field method string       "GET" and so on
---@field path string         of the URL, with its query
---@field attempt integer     from 1
---@field duration number     seconds of this attempt
---@field status? integer     of the answer, 101 for an open WebSocket
---@field error? wrenn.Error  if it failed
---@field retry_in? number    seconds until the next attempt, if there is one

---@class wrenn.CleanupEvent
---@field type "cleanup"  which of the two events it is
---@field what string         that could not be tidied up in the background
---@field error wrenn.Error  why

---@class wrenn.ClientOptions
---@field api_key? string         else WRENN_API_KEY
---@field base_url? string        else WRENN_BASE_URL, https://app.wrenn.dev/api
---@field proxy_domain? string    else WRENN_PROXY_DOMAIN, or from the base URL
---@field timeout? number         seconds for a call (30)
---@field connect_timeout? number seconds (10)
---@field retries? integer        of a call whose request may be sent twice or
---  has not arrived (2): no connection, one that broke, 429, 502, 503, 504. With
---  random pauses, or the one that the server asks for; within the time limit of
---  the call, and up to 100 more than a fifth of the client's successes
---@field proxy? string|false     an http, https, socks4, socks4a, socks5 or
---  socks5h URL, for every host; false: none, ignoring the environment
---@field ca_file? string         PEM file to trust instead of the system's
---@field insecure? boolean       accept any certificate
---@field user_agent? string     of all requests ("wrenn-lua/" and the version)
---@field on_event? fun(event: wrenn.RequestEvent|wrenn.CleanupEvent)
---  called after each attempt of a request, and when something could not be
---  tidied up
---@field auto_resume? boolean    brings a capsule back that turns out to be
---  paused, and repeats the call once (false). Data of a function or a file is
---  not sent again: the call fails with CapsuleStateError or ConflictError
---@field keepalive? number       seconds between pings of a capsule of which a
---  stream or a terminal is open, which alone does not keep it from being paused
---  (none); as long as this process runs its tasks

--- Creates a client.
---@param opts? wrenn.ClientOptions
---@return wrenn.Client|nil
---@return wrenn.Error? err  ConfigurationError
function M.new(opts, level)
  opts = check.options(opts, "Client", config.spec, level or 2)
  if opts.user_agent and opts.user_agent:find("%c") then
    error("bad option 'user_agent' to 'Client' (control character)", level or 2)
  end
  local settings, err = config.resolve(opts)
  if not settings then
    return nil, err
  end
  count = count + 1
  settings.owner = count
  local self = setmetatable({ settings = settings }, Client)
  for name, class in pairs(resources) do
    self[name] = setmetatable({ client = self }, class)
  end
  return self
end

-- The options of a call that create a client, instead of `client`.
M.shared_names = { "api_key", "base_url" }

--- Whether a given client agrees with such an option.
function M.agrees(client, name, value)
  if name == "api_key" then
    return client.settings.key() == value
  end
  return client.settings.base_url == (value:gsub("/+$", ""))
end

--- Takes `client` from the options of a call, or creates one from them.
function M.from_options(opts)
  if opts.client then
    return opts.client
  end
  local own = {}
  for _, name in ipairs(M.shared_names) do
    own[name] = opts[name]
  end
  return M.new(own)
end

M.create_spec = Capsules.create_spec

return M
