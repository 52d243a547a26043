--- The wrenn command: finds the command that is asked for, parses its words,
--- runs it, and says how it ended.

local check = require("wrenn.check")
local commands = require("wrenn.cli.commands")
local exit = require("wrenn.cli.exit")
local parser = require("wrenn.cli.parser")

local cli = {}

-- Words that stand for commands.
local stand_ins = { ["--help"] = "help", ["-h"] = "help",
  ["--version"] = "version", ["-V"] = "version" }

local function names_of(subcommands)
  local names = {}
  for _, sub in ipairs(subcommands) do
    names[sub.name] = true
    for _, alias in ipairs(sub.aliases or {}) do
      names[alias] = true
    end
  end
  return names
end

--- Finds a subcommand by its name or one of its other names.
function cli.subcommand(command, name)
  for _, sub in ipairs(command.subcommands) do
    if sub.name == name then
      return sub
    end
    for _, alias in ipairs(sub.aliases or {}) do
      if alias == name then
        return sub
      end
    end
  end
end

-- The subcommand that the words ask for, and how it is called.
local function descend(command, words)
  local name = table.remove(words, 1)
  if not name or name == "--help" or name == "-h" then
    return nil, not name and "a subcommand is missing"
  end
  local sub = cli.subcommand(command, name)
  if not sub then
    exit.misuse("'%s': there is no such subcommand%s", name,
      check.meant(name, names_of(command.subcommands)))
  end
  return sub
end

local function show_help(ctx, command, name)
  ctx:write(require("wrenn.cli.help").command(command, name, ctx))
end

-- The reader of a pipe that wrenn writes to may be gone already: then io.write
-- fails where SIGPIPE is ignored, and nothing has been said yet.
local function flush(status)
  local ok = io.stdout:flush()
  return ok == nil and (status == 0 and exit.CLOSED_PIPE) or status
end

local function call(ctx, command, args)
  if command.offline then
    return command.run(ctx, args)
  end
  require("wrenn")
  return require("wrenn.task").run(command.run, ctx, args)
end

-- Runs what the words ask for. ctx learns its name on the way.
local function dispatch(ctx, words)
  local name = table.remove(words, 1)
  if not name then
    exit.misuse("a command is missing")
  end
  name = stand_ins[name] or name
  local command = commands.find(name)
  if not command then
    exit.misuse("'%s': there is no such command%s", name,
      check.meant(name, commands.names()))
  end
  ctx.name = command.name
  local top = command
  if command.subcommands then
    local sub, missing = descend(command, words)
    if missing then
      exit.misuse(missing)
    elseif not sub then
      return show_help(ctx, command, command.name)
    end
    command, ctx.name = sub, top.name .. " " .. sub.name
  end
  -- Before the words are parsed: their errors may have to be JSON too.
  for _, word in ipairs(words) do
    if word == "--" or command.stops and word:sub(1, 1) ~= "-" then
      break
    end
    ctx.json = ctx.json or word == "--json"
  end
  local args = parser.parse(command, words)
  if args.help then
    return show_help(ctx, command, ctx.name)
  end
  ctx.json, ctx.quiet = args.json or false, args.quiet or false
  ctx.streams = command.streams
  return call(ctx, command, args)
end

-- A traceback only for what is a mistake in wrenn.
local function trace(raised)
  if type(raised) == "string" and not raised:find("interrupted!$") then
    return debug.traceback(raised, 2)
  end
  return raised
end

--- Runs a command line. `terminals` has the digits of the descriptors that are
--- terminals. Returns the exit status.
function cli.main(words, terminals)
  local ctx = require("wrenn.cli.context").new(terminals)
  local ok, result = xpcall(function()
    return dispatch(ctx, words)
  end, trace)
  local status = ok and (result or 0)
  if not ok then
    local how = exit.describe(result)
    status = how.status
    ctx:report(how)
  end
  return flush(status)
end

return cli
