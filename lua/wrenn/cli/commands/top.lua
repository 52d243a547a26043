-- wrenn top ID

local function run(ctx, args)
  local commands = require("wrenn.commands")
    .new(ctx:client(), ctx:id(args.id))
  local list = ctx:check(commands:list())
  if ctx.json then
    for _, process in ipairs(list) do
      process.args = require("wrenn.cli.json").array(process.args)
    end
    ctx:emit(require("wrenn.cli.json").array(list))
    return
  end
  local rows = {}
  for i, process in ipairs(list) do
    local words = { process.cmd or "" }
    for _, word in ipairs(process.args or {}) do
      words[#words + 1] = word
    end
    rows[i] = { ("%d"):format(process.pid), process.tag,
      table.concat(words, " ") }
  end
  ctx:table({ "PID", "TAG", "COMMAND" }, rows)
end

return {
  name = "top",
  summary = "Lists the commands that run in a capsule",
  operands = { { name = "ID", complete = "capsule", env = "WRENN_CAPSULE" } },
  run = run,
}
