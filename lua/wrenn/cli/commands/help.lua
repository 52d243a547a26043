-- wrenn help [TOPIC]

local function run(ctx, args)
  local commands = require("wrenn.cli.commands")
  local help = require("wrenn.cli.help")
  local topics = require("wrenn.cli.topics")
  local name, sub_name = args.topic, args.subcommand
  if not name then
    ctx:write(help.overview(ctx))
    return
  elseif topics.texts[name] and not sub_name then
    ctx:write(topics.texts[name])
    return
  end
  local command = commands.find(name)
  if not command then
    ctx:misuse("TOPIC: there is neither a command nor a topic '%s'%s", name,
      require("wrenn.check").meant(name, commands.names()))
  elseif sub_name then
    local sub = command.subcommands
      and require("wrenn.cli").subcommand(command, sub_name)
    if not sub then
      ctx:misuse("SUBCOMMAND: wrenn %s has no subcommand '%s'", name, sub_name)
    end
    ctx:write(help.command(sub, command.name .. " " .. sub.name, ctx))
    return
  end
  ctx:write(help.command(command, command.name, ctx))
end

return {
  name = "help",
  summary = "Shows what a command does",
  operands = {
    { name = "TOPIC", optional = true, complete = "topic" },
    { name = "SUBCOMMAND", optional = true },
  },
  offline = true,
  run = run,
}
