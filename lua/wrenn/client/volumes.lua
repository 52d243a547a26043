--- client.volumes: storage that outlives capsules. Servers from 0.4 on.

local api = require("wrenn.wire.api")
local check = require("wrenn.check")
local resource = require("wrenn.client.resource")

local call, order, path = resource.call, resource.order, resource.path

---@class wrenn.Volumes
local Volumes = resource.class("wrenn.Volumes", "is_volumes")

local create_spec =
  { name = "string", size = "string", size_mb = "positive" }

---@class wrenn.Volume
---@field id string          "vol-..."
---@field name string        "vl-..."
---@field size_mb integer    megabytes
---@field status string      "detached", "attaching", "attached", "deleting"
---@field mount_path string  where it is in the capsule; "" while detached
---@field sandbox_id? string  the capsule that it is attached to
---@field host_id? string    the machine that it is on
---@field created_at string  a date, in RFC 3339
---@field last_attached_at? string  likewise

--- Creates a volume. To attach it, pass `volumes = { "cache" }` when creating a
--- capsule. POST /v1/volumes.
---@param opts {name?: string, size?: string, size_mb?: integer}  size: "20Gi",
---  "512Mi" or a number of megabytes; at least 100 MB. `name` is prefixed with
---  "vl-"; it is made from the id when absent
---@return wrenn.Volume|nil
---@return wrenn.Error? err  ConflictError when the name is taken
function Volumes:create(opts)
  check.self(self, "is_volumes", "create")
  opts = check.options(opts, "create", create_spec)
  return call(self, "volume", "POST", "/v1/volumes",
    { json = api.volume_body(opts) })
end

--- Lists the volumes of the team. GET /v1/volumes.
---@return wrenn.Volume[]|nil list  newest first
---@return wrenn.Error? err
function Volumes:list()
  check.self(self, "is_volumes", "list")
  return call(self, "volumes", "GET", "/v1/volumes")
end

--- Returns what there is to know of a volume. GET /v1/volumes/{ref}.
---@param ref string  id, or name with or without its "vl-"
---@return wrenn.Volume|nil
---@return wrenn.Error? err
function Volumes:get(ref)
  check.self(self, "is_volumes", "get")
  return call(self, "volume", "GET", path("/v1/volumes/{}", ref, "ref", "get"))
end

--- Deletes a volume and its data. DELETE /v1/volumes/{ref}.
---@param ref string  id, or name with or without its "vl-"
---@return true|nil
---@return wrenn.Error? err  ConflictError while it is attached
function Volumes:delete(ref)
  check.self(self, "is_volumes", "delete")
  return order(self, "DELETE", path("/v1/volumes/{}", ref, "ref", "delete"))
end

return Volumes
