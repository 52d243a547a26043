-- wrenn wait ID...

local GOALS = { running = "ready", paused = "pause", gone = "destroy" }

local function run(ctx, args)
  local wait = require("wrenn.client.status")
  local goal = GOALS[args["for"] or "running"]
  return ctx:each_capsule(args.ids, function(id)
    return ctx:check(wait.for_status(ctx:client(), id, goal,
      args.timeout or math.huge))
  end)
end

return {
  name = "wait",
  summary = "Waits until capsules run, are paused, or are gone",
  operands = {
    { name = "ID", key = "ids", many = true, complete = "capsule",
      env = "WRENN_CAPSULE" },
  },
  options = {
    { "for", value = "STATUS", choices = { "running", "paused", "gone" },
      help = "what to wait for (running)" },
    { "timeout", value = "DURATION", type = "duration",
      help = "give up after that, with exit status 124 (never)" },
    { "quiet", short = "q", help = "print nothing" },
  },
  examples = { { "wrenn wait --for gone cl-3f", "until it is destroyed" } },
  run = run,
}
