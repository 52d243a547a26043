-- wrenn stats [ID...]

local layout = require("wrenn.cli.layout")

-- Seconds between two looks, as servers measure no more often.
local PAUSE = 2

local function ids_of(ctx, args)
  local ids = {}
  if #args.ids > 0 then
    for i, text in ipairs(args.ids) do
      ids[i] = ctx:id(text)
    end
    return ids
  end
  for _, info in ipairs(ctx:check(ctx:client().capsules:list())) do
    if info.status == "running" then
      ids[#ids + 1] = info.id
    end
  end
  return ids
end

-- The last measurement of each; a capsule that has ended meanwhile has none.
local function look(ctx, ids, named)
  local list = require("wrenn.task").map(ids, function(id)
    local metrics, err = ctx:client().capsules:metrics(id, { range = "5m" })
    if not metrics then
      if not named and err:is("NotFoundError") then
        return false
      end
      return nil, err
    end
    local points = metrics.points or {}
    local point = points[#points] or {}
    point.id = id
    return point
  end)
  return list
end

local function measure(ctx, ids, named)
  local points = {}
  for _, point in ipairs(ctx:check(look(ctx, ids, named))) do
    if point then
      points[#points + 1] = point
    end
  end
  return points
end

local function rows_of(points)
  local rows = {}
  for i, point in ipairs(points) do
    rows[i] = { point.id,
      point.cpu_pct and ("%.1f%%"):format(point.cpu_pct),
      layout.bytes(point.mem_bytes), layout.bytes(point.disk_bytes) }
  end
  return rows
end

local function show(ctx, points, again)
  if ctx.json then
    for _, point in ipairs(points) do
      ctx:emit(point)
    end
    return
  elseif ctx:is_fancy("stdout") and again ~= nil then
    ctx:write("\27[H\27[J") -- the same lines in the same place
  end
  ctx:table({ "ID", "CPU", "MEMORY", "DISK" }, rows_of(points))
  io.stdout:flush()
end

local function run(ctx, args)
  local named = #args.ids > 0
  local again
  if not args.no_stream then
    again = false
  end
  repeat
    show(ctx, measure(ctx, ids_of(ctx, args), named), again)
    if args.no_stream then
      return
    end
    again = true
  until not ctx:check(require("wrenn.task").sleep(PAUSE))
end

return {
  name = "stats",
  summary = "Shows what capsules use, again and again",
  operands = {
    { name = "ID", key = "ids", many = true, optional = true,
      complete = "capsule" },
  },
  options = {
    { "no-stream", help = "show it once" },
  },
  description = [[
Without IDs all that run. With --json a line for each capsule and look.]],
  streams = true,
  run = run,
}
