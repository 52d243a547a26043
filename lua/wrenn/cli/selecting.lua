-- The filters of the commands that choose among capsules, and how capsules are
-- printed.

local layout = require("wrenn.cli.layout")
local parser = require("wrenn.cli.parser")
local types = require("wrenn.cli.types")

local selecting = {}

selecting.options = {
  { "status", short = "s", value = "STATUS", complete = "status",
    help = "only those of this status" },
  { "template", short = "T", value = "NAME", complete = "template",
    help = "only those made from this template" },
  { "metadata", short = "m", value = "K=V", type = "pair", many = true,
    help = "only those with this label" },
}

--- The same with a command's own options before them.
function selecting.with(options)
  return parser.join(options, selecting.options)
end

--- The infos of the capsules that the filters select.
function selecting.list(ctx, args)
  return ctx:check(require("wrenn").Capsule.list({ client = ctx:client(),
    status = args.status, template = args.template,
    metadata = types.map(args.metadata) }))
end

local ended = { stopped = true, missing = true, error = true }

--- Whether a status is one that nothing follows.
function selecting.has_ended(status)
  return ended[status] or false
end

-- What servers of before 0.4 put among the labels.
local versions = { kernel_version = true, firecracker_version = true,
  vmm_version = true, agent_version = true, envd_version = true }

local function labels(info)
  local list = {}
  for name, value in pairs(type(info.metadata) == "table" and info.metadata
    or {})
  do
    list[name] = not versions[name] and value or nil
  end
  return next(list) and layout.value(list) or ""
end

--- Prints infos as the table of `wrenn list`.
function selecting.print(ctx, list)
  local rows = {}
  for i, info in ipairs(list) do
    rows[i] = { info.id, info.status, info.template or "",
      layout.value(info.vcpus), layout.megabytes(info.memory_mb),
      layout.age(info.created_at), labels(info) }
  end
  ctx:table({ "ID", "STATUS", "TEMPLATE", "CPUS", "MEMORY", "AGE",
    "METADATA" }, rows)
end

return selecting
