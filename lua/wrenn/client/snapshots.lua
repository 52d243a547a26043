--- client.snapshots: templates, and snapshots of capsules, which create them.

local api = require("wrenn.wire.api")
local check = require("wrenn.check")
local errors = require("wrenn.errors")
local ids = require("wrenn.ids")
local resource = require("wrenn.client.resource")
local scheduler = require("wrenn.task.scheduler")
local url = require("wrenn.wire.url")
local wait = require("wrenn.client.status")

local call, order, path = resource.call, resource.order, resource.path

---@class wrenn.Snapshots
local Snapshots = resource.class("wrenn.Snapshots", "is_snapshots")

-- A server may need a long time for a snapshot before it answers.
local DEFAULT_TIMEOUT = 60
-- The time between the end of a snapshot and its listing as a template.
local GRACE = 5
local PAUSE = 0.2

Snapshots.create_spec = {
  name = "string", overwrite = "boolean", wait = "boolean",
  timeout = "seconds",
}

---@class wrenn.Template
---@field name? string       absent while it is being made under a name that
---  the server has chosen
---@field type string        "base" or "snapshot"
---@field vcpus? integer     number of processors of its capsules
---@field memory_mb? integer  megabytes of their memory
---@field size_bytes? integer  that it takes
---@field created_at? string  a date, in RFC 3339
---@field platform? boolean  the platform's own
---@field ["protected"]? boolean  it cannot be deleted; servers from 0.2.2 on
---@field ["public"]? boolean    other teams may use it; servers from 0.4 on
---@field owned? boolean     it is the team's own; servers from 0.4 on
---@field team_slug? string  the name of its team in its full name; servers from 0.4 on
---@field pending? boolean   it is not there yet
---@field capsule? wrenn.CapsuleInfo  while pending: the capsule's info

-- Returns the snapshots of a page or of a complete list, and the number of
-- pages.
local function get_page(self, query)
  local answer, err = call(self, "templates", "GET", "/v1/snapshots",
    { query = query })
  if not answer then
    return nil, err
  end
  return api.template_page(answer)
end

-- Pages shift if a template is created meanwhile: count each one once.
local function add_new(list, seen, templates)
  for _, template in ipairs(templates) do
    local name = template.name
    local key = name and tostring(template.team_slug) .. "/" .. tostring(name)
    if not key or not seen[key] then
      seen[key or template] = true
      list[#list + 1] = template
    end
  end
end

local function contains(text, part)
  return type(text) == "string"
    and text:lower():find(part:lower(), 1, true) ~= nil
end

local function filter(list, q)
  local chosen = {}
  for _, template in ipairs(list) do
    if contains(template.name, q) or contains(template.team_slug, q) then
      chosen[#chosen + 1] = template
    end
  end
  return chosen
end

local function list_all(self, opts)
  local query = { type = opts.type, q = opts.q }
  local page, err = get_page(self, query)
  if not page then
    return nil, err
  end
  local list, seen = {}, {}
  add_new(list, seen, page.templates)
  for number = 2, page.pages do
    query.page, query.per_page = number, page.per_page
    page, err = get_page(self, query)
    if not page then
      return nil, err
    elseif #page.templates == 0 then
      break
    end
    add_new(list, seen, page.templates)
  end
  -- Servers before 0.4 ignore q.
  return opts.q and filter(list, opts.q) or list
end

--- Lists the templates that capsules can be created from: those of the team,
--- those of the platform and, from 0.4 on, public ones of other teams. Reads
--- all pages. GET /v1/snapshots.
---@param opts? {type?: "base"|"snapshot", q?: string}  q: part of a name or of
---  a team's slug
---@return wrenn.Template[]|nil
---@return wrenn.Error? err
function Snapshots:list(opts)
  check.self(self, "is_snapshots", "list")
  opts = check.options(opts, "list", { type = "string", q = "string" })
  return list_all(self, opts)
end

-- ---- creating --------------------------------------------------------------

local function find(self, name)
  local list, err = list_all(self, { type = "snapshot", q = name })
  if not list then
    return nil, err
  end
  for _, template in ipairs(list) do
    if template.name == name and template.owned ~= false then
      return template
    end
  end
end

-- Waits for the template to be listed. The capsule continues whether the
-- snapshot succeeded or not.
local function await_template(self, name, deadline)
  local give_up = math.min(deadline, scheduler.now() + GRACE)
  while true do
    local template, err = find(self, name)
    if template or err then
      return template, err
    elseif scheduler.now() >= give_up then
      return nil, errors.new("WrennError",
        ("the snapshot '%s' has not been made"):format(name))
    end
    local ok
    ok, err = scheduler.sleep(PAUSE)
    if not ok then
      return nil, err
    end
  end
end

local function await(self, id, name, deadline)
  local info, err = wait.for_status(self.client, id, "snapshot",
    math.max(deadline - scheduler.now(), 0))
  if not info then
    return nil, err
  end
  return await_template(self, name, deadline)
end

local function make_name()
  return "template-" .. ids.random(4)
end

---@class wrenn.SnapshotOptions
---@field name? string        the server chooses one when absent
---@field overwrite? boolean  replace one of that name, where the server still
---  does that (false)
---@field wait? boolean       return when it is listed (false)
---@field timeout? number     seconds for all of it (60)

--- Creates a template from a capsule, which must be running or paused. Servers
--- up to 0.2 answer when the template is complete, those of 0.1 with the
--- capsule paused. Newer ones answer before: the result then has `pending`,
--- unless `wait` is set. POST /v1/snapshots.
---@param capsule_id string
---@param opts? wrenn.SnapshotOptions
---@return wrenn.Template|nil
---@return wrenn.Error? err  ConflictError: the name is taken, the capsule is
---  neither running nor paused, or it has volumes
function Snapshots:create(capsule_id, opts)
  check.self(self, "is_snapshots", "create")
  check.text(capsule_id, "capsule_id", "create")
  opts = check.options(opts, "create", Snapshots.create_spec)
  local timeout = opts.timeout or DEFAULT_TIMEOUT
  local deadline = scheduler.now() + timeout
  local name = opts.name or opts.wait and make_name() or nil
  local answer, err = call(self, "snapshot", "POST", "/v1/snapshots", {
    json = api.snapshot_body(capsule_id, name),
    query = { overwrite = opts.overwrite and "true" or nil },
    timeout = timeout,
  })
  if not answer then
    return nil, err
  elseif not api.is_capsule(answer) then
    return answer
  elseif opts.wait then
    return await(self, capsule_id, name, deadline)
  end
  return { name = name, type = "snapshot", pending = true, capsule = answer }
end

-- ---- one of them -----------------------------------------------------------

--- Deletes a snapshot. Capsules created from it are not affected. DELETE
--- /v1/snapshots/{name}.
---@param name string
---@return true|nil
---@return wrenn.Error? err  ForbiddenError for the platform's templates
function Snapshots:delete(name)
  check.self(self, "is_snapshots", "delete")
  return order(self, "DELETE", path("/v1/snapshots/{}", name, "name", "delete"))
end

--- Renames a snapshot, which makes it private. Servers from 0.4 on. PATCH
--- /v1/snapshots/{name}.
---@param name string
---@param new_name string
---@return true|nil
---@return wrenn.Error? err
function Snapshots:rename(name, new_name)
  check.self(self, "is_snapshots", "rename")
  check.text(name, "name", "rename")
  check.text(new_name, "new_name", "rename")
  return order(self, "PATCH", url.path("/v1/snapshots/{}", name),
    { json = api.rename_body(new_name) })
end

--- Makes a snapshot available to other teams as "<team slug>/<name>", or
--- private again. Servers from 0.4 on. PATCH /v1/snapshots/{name}/visibility.
---@param name string
---@param public boolean
---@return true|nil
---@return wrenn.Error? err
function Snapshots:set_visibility(name, public)
  check.self(self, "is_snapshots", "set_visibility")
  check.text(name, "name", "set_visibility")
  check.arg(public, "public", "set_visibility", "boolean")
  return order(self, "PATCH", url.path("/v1/snapshots/{}/visibility", name),
    { json = api.visibility_body(public) })
end

return Snapshots
