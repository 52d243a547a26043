-- wrenn events

local layout = require("wrenn.cli.layout")

local FILTERS = "event, capsule, outcome or resource"

local readers = {
  event = function(event)
    return event.event
  end,
  outcome = function(event)
    return event.outcome
  end,
  resource = function(event)
    return event.resource and event.resource.type
  end,
  capsule = function(event)
    return event.resource and event.resource.id
  end,
}

-- Filters of one name are alternatives, those of different names all count.
local function matches(event, filters)
  for name, values in pairs(filters) do
    local value, found = readers[name](event), false
    for _, wanted in ipairs(values) do
      found = found or value == wanted
        or name == "capsule" and value and value:sub(1, #wanted) == wanted
        or name == "event" and value and value:sub(1, #wanted + 1)
          == wanted .. "."
    end
    if not found then
      return false
    end
  end
  return true
end

local function filters_of(ctx, args)
  local filters = {}
  for _, pair in ipairs(args.filter or {}) do
    local name, value = pair[1], pair[2]
    if not readers[name] then
      ctx:misuse("--filter: '%s' is none of %s", name, FILTERS)
    end
    filters[name] = filters[name] or {}
    table.insert(filters[name], value)
  end
  return filters
end

local function line_of(event)
  local metadata = event.metadata or {}
  local parts = { event.timestamp or os.date("!%Y-%m-%dT%H:%M:%SZ"),
    event.event, event.resource and event.resource.id or "" }
  if metadata.from and metadata.to then
    parts[#parts + 1] = metadata.from .. " -> " .. metadata.to
  elseif event.outcome ~= "success" then
    parts[#parts + 1] = event.outcome
  end
  parts[#parts + 1] = metadata.reason
  return layout.plain(table.concat(parts, "  "))
end

local function run(ctx, args)
  local filters = filters_of(ctx, args)
  local stream = ctx:check(ctx:client().events:stream())
  while true do
    local event = ctx:check(stream:read())
    if event.event == "reconnected" then
      ctx:say("the connection was lost; events may be missing")
    elseif matches(event, filters) then
      if ctx.json then
        ctx:emit(event)
      else
        ctx:stream(line_of(event))
      end
    end
  end
end

return {
  name = "events",
  summary = "Shows what happens to capsules and templates, as it happens",
  options = {
    { "filter", short = "f", value = "K=V", type = "pair", many = true,
      complete = "filter",
      help = "only those whose " .. FILTERS .. " is V" },
  },
  description = [[
A filter for an event takes the beginning of its name (capsule.state), one for a
capsule the beginning of its id. Runs until it is interrupted.]],
  examples = {
    { "wrenn events -f event=capsule.pause", "what falls asleep" },
    { "wrenn events --json | jq .event", "for a program" },
  },
  streams = true,
  run = run,
}
