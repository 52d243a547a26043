-- wrenn resume ID...

local pause = require("wrenn.cli.commands.pause")

return {
  name = "resume",
  summary = "Resumes paused capsules",
  operands = pause.operands,
  options = pause.options_for("they run"),
  run = function(ctx, args)
    return pause.change(ctx, args, "resume")
  end,
}
