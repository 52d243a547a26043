--- client.capsules: one method for each endpoint of capsules.

local api = require("wrenn.wire.api")
local check = require("wrenn.check")
local resource = require("wrenn.client.resource")

local call, order, path = resource.call, resource.order, resource.path

--- What the server says about a capsule. Fields that are not listed here are
--- passed on as well.
---@class wrenn.CapsuleInfo
---@field id string             "cl-..."
---@field status string         "pending", "starting", "running", "pausing",
---  "paused", "snapshotting", "resuming", "stopping", "stopped", "missing",
---  "error"
---@field template? string      what it was created from
---@field vcpus? integer        number of processors
---@field memory_mb? integer    megabytes of memory
---@field disk_size_mb? integer  of its disk; servers from 0.2 on
---@field timeout_sec? integer  seconds without activity until it is paused; 0:
---  never
---@field metadata? table<string, string>  labels, and versions of the server's
---@field created_at? string    a date, in RFC 3339
---@field started_at? string    when it last began to run
---@field last_active_at? string  when it was last used

---@class wrenn.Capsules
local Capsules = resource.class("wrenn.Capsules", "is_capsules")

Capsules.create_spec = {
  template = "string", vcpus = "integer", memory_mb = "integer",
  disk_size_mb = "integer", timeout = "seconds", metadata = "map",
  volumes = "list",
}

---@class wrenn.CreateOptions
---@field template? string      the server's default when absent
---@field vcpus? integer       number of processors
---@field memory_mb? integer   megabytes of memory
---@field disk_size_mb? integer  of its disk; servers of 0.2 only
---@field timeout? number       seconds without activity until it is paused
---@field metadata? table<string, string>  labels; servers from 0.4 on
---@field volumes? string[]     ids or names of volumes to mount, 4 at the
---  most; servers from 0.4 on

--- Creates a capsule. POST /v1/capsules.
---@param opts? wrenn.CreateOptions
---@return wrenn.CapsuleInfo|nil info
---@return wrenn.Error? err
function Capsules:create(opts)
  check.self(self, "is_capsules", "create")
  opts = check.options(opts, "create", Capsules.create_spec)
  return call(self, "capsule", "POST", "/v1/capsules",
    { json = api.create_body(opts) })
end

--- Lists the capsules of the team. GET /v1/capsules.
---@return wrenn.CapsuleInfo[]|nil list  newest first
---@return wrenn.Error? err
function Capsules:list()
  check.self(self, "is_capsules", "list")
  return call(self, "capsules", "GET", "/v1/capsules")
end

--- Returns what there is to know of a capsule. GET /v1/capsules/{id}.
---@param id string  of the capsule
---@return wrenn.CapsuleInfo|nil info
---@return wrenn.Error? err
function Capsules:get(id)
  check.self(self, "is_capsules", "get")
  return call(self, "capsule", "GET", path("/v1/capsules/{}", id, "id", "get"))
end

--- Destroys a capsule: returns once the server has accepted that. DELETE
--- /v1/capsules/{id}.
---@param id string  of the capsule
---@return true|nil
---@return wrenn.Error? err
function Capsules:destroy(id)
  check.self(self, "is_capsules", "destroy")
  return order(self, "DELETE", path("/v1/capsules/{}", id, "id", "destroy"))
end

--- Pauses a capsule. POST /v1/capsules/{id}/pause.
---@param id string  of the capsule
---@return wrenn.CapsuleInfo|nil info
---@return wrenn.Error? err
function Capsules:pause(id)
  check.self(self, "is_capsules", "pause")
  return call(self, "capsule", "POST",
    path("/v1/capsules/{}/pause", id, "id", "pause"))
end

--- Resumes a paused capsule. POST /v1/capsules/{id}/resume.
---@param id string  of the capsule
---@return wrenn.CapsuleInfo|nil info
---@return wrenn.Error? err
function Capsules:resume(id)
  check.self(self, "is_capsules", "resume")
  return call(self, "capsule", "POST",
    path("/v1/capsules/{}/resume", id, "id", "resume"))
end

--- Counts as activity of the capsule. POST /v1/capsules/{id}/ping.
---@param id string  of the capsule
---@return true|nil
---@return wrenn.Error? err
function Capsules:ping(id)
  check.self(self, "is_capsules", "ping")
  return order(self, "POST", path("/v1/capsules/{}/ping", id, "id", "ping"))
end

--- Returns totals of the team's capsules. GET /v1/capsules/stats.
---@param opts? {range?: "5m"|"1h"|"6h"|"24h"|"30d"}  of the series; "1h"
---@return {range: string, current: table, peaks: table, series: table}|nil
---@return wrenn.Error? err
function Capsules:stats(opts)
  check.self(self, "is_capsules", "stats")
  opts = check.options(opts, "stats", { range = "string" })
  return call(self, "stats", "GET", "/v1/capsules/stats",
    { query = { range = opts.range } })
end

--- Returns the daily usage of the team's capsules. GET /v1/capsules/usage.
---@param opts? {from?: string, to?: string}  "YYYY-MM-DD", both inclusive, at
---  most 92 days; the last 30 days when absent
---@return {from: string, to: string, points: table[]}|nil
---@return wrenn.Error? err
function Capsules:usage(opts)
  check.self(self, "is_capsules", "usage")
  opts = check.options(opts, "usage", { from = "string", to = "string" })
  return call(self, "usage", "GET", "/v1/capsules/usage",
    { query = { from = opts.from, to = opts.to } })
end

--- Returns the resource usage of a capsule. GET /v1/capsules/{id}/metrics.
---@param id string  of the capsule
---@param opts? {range?: "5m"|"10m"|"1h"|"2h"|"6h"|"12h"|"24h"}  "10m"
---@return {sandbox_id: string, range: string, points: table[]}|nil
---@return wrenn.Error? err  NotFoundError if it is neither running nor paused
function Capsules:metrics(id, opts)
  check.self(self, "is_capsules", "metrics")
  local where = path("/v1/capsules/{}/metrics", id, "id", "metrics")
  opts = check.options(opts, "metrics", { range = "string" })
  return call(self, "metrics", "GET", where, { query = { range = opts.range } })
end

return Capsules
