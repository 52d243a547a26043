-- wrenn pause ID..., and what `wrenn resume` shares with it

local CAPSULES = { name = "ID", key = "ids", many = true, complete = "capsule",
  env = "WRENN_CAPSULE" }

local function change(ctx, args, method)
  return ctx:each_capsule(args.ids, function(id)
    return ctx:check(require("wrenn").Capsule[method](id, {
      client = ctx:client(), wait = not args.no_wait, timeout = args.timeout }))
  end)
end

local function options(what)
  return {
    { "timeout", value = "DURATION", type = "duration",
      help = "how long to wait (30s)" },
    { "no-wait", help = "do not wait until " .. what },
    { "quiet", short = "q", help = "print nothing" },
  }
end

return {
  name = "pause",
  summary = "Pauses capsules: their processes stop until they are resumed",
  operands = { CAPSULES },
  options = options("they are paused"),
  run = function(ctx, args)
    return change(ctx, args, "pause")
  end,
  -- For resume.lua.
  change = change, options_for = options,
}
