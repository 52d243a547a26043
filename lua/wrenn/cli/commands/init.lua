-- The commands: which there are, in the order of the help. The table of each is
-- in a file of its own, which is loaded when it is needed:
--
--   name, summary, description, group   what the help says
--   aliases       other names
--   operands      {name=, type=, complete=, many=, optional=, choices=, env=}
--   options       {"long", short=, value=, type=, many=, choices=, complete=,
--                 help=}; a flag without `value`. `type`: see wrenn.cli.types
--   stops         all words after the first operand are operands
--   subcommands   tables like this one, instead of `run`; `also` is a usage
--                 beside theirs, and what it does
--   examples      {command line, what it does}
--   offline       it needs no server, and must not load the core
--   raw           its output is not wrenn's own: --json is for errors only
--   run(ctx, args)  returns the exit status, nil for 0; see wrenn.cli.context

local commands = {}

--- Groups of names, in the order of the help.
commands.groups = {
  { "Capsules", "create", "list", "inspect", "pause", "resume", "wait", "rm" },
  { "Inside", "exec", "run", "shell", "attach", "logs", "top", "kill", "stats",
    "cp", "events", "url", "forward", "code" },
  { "Templates and volumes", "snapshot", "volume" },
  { "wrenn", "local", "mcp", "doctor", "completion", "help", "man",
    "version" },
}

local aliases = { ls = "list" }

local known
local function index()
  if not known then
    known = {}
    for _, group in ipairs(commands.groups) do
      for i = 2, #group do
        known[group[i]] = group[1]
      end
    end
  end
  return known
end

--- The names of all commands, as the keys of a table.
function commands.names()
  return index()
end

--- Returns the table of a command, or nil.
function commands.find(name)
  name = aliases[name] or name
  if not index()[name] then
    return nil
  end
  local command = require("wrenn.cli.commands." .. name:gsub("%-", "_"))
  command.group = command.group or index()[name]
  return command
end

--- Calls a function with each command's table.
function commands.each(fn)
  for _, group in ipairs(commands.groups) do
    for i = 2, #group do
      fn(commands.find(group[i]))
    end
  end
end

return commands
