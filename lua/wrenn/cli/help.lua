-- The texts of `wrenn help` and of --help, from the commands' tables.

local commands = require("wrenn.cli.commands")
local parser = require("wrenn.cli.parser")

local help = {}

--- An operand as in a usage line.
function help.operand(operand)
  local text = operand.name .. (operand.many and "..." or "")
  return (operand.optional or operand.env) and "[" .. text .. "]" or text
end

--- An option as in a list: "-n, --lines N".
function help.option(option)
  return (option.short and "-" .. option.short .. ", " or "    ")
    .. "--" .. option[1] .. (option.value and " " .. option.value or "")
end

--- The usage line of a command.
function help.usage(command, name)
  local parts = { "wrenn " .. name }
  if command.subcommands then
    parts[2] = "COMMAND"
  elseif #(command.options or {}) > 0 then
    parts[2] = "[OPTION...]"
  end
  for _, operand in ipairs(command.operands or {}) do
    parts[#parts + 1] = help.operand(operand)
  end
  return table.concat(parts, " ")
end

local function pad(text, width)
  return text .. (" "):rep(math.max(width - #text, 1))
end

-- Two columns; what is too long for the first has a line of its own.
local function columns(lines, rows, least)
  local width = least or 0
  for _, row in ipairs(rows) do
    width = math.max(width, #row[1] <= 26 and #row[1] or 0)
  end
  for _, row in ipairs(rows) do
    if #row[1] > width then
      lines[#lines + 1] = "  " .. row[1]
      lines[#lines + 1] = "  " .. pad("", width + 2) .. row[2]
    else
      lines[#lines + 1] = "  " .. pad(row[1], width + 2) .. row[2]
    end
  end
end

--- The options of a command with their texts, for the help and the manual.
function help.option_rows(command)
  local rows = {}
  for i, option in ipairs(parser.options(command)) do
    local text = option.help or ""
    if option.choices then
      text = text .. (text ~= "" and ": " or "")
        .. table.concat(option.choices, ", ")
    end
    rows[i] = { help.option(option), text }
  end
  return rows
end

--- The help of a command; `name` as the user called it.
function help.command(command, name, ctx)
  local lines = { "usage: " .. help.usage(command, name) }
  if command.also then
    lines[2] = "       wrenn " .. command.also[1]
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = command.summary .. "."
  if command.description then
    lines[#lines + 1] = ""
    lines[#lines + 1] = (command.description:gsub("\n$", ""))
  end
  local function heading(text)
    lines[#lines + 1] = ""
    lines[#lines + 1] = ctx:bold(text)
  end
  if command.subcommands then
    heading("Commands:")
    local rows = {}
    for i, sub in ipairs(command.subcommands) do
      local usage = help.usage(sub, sub.name):gsub("^wrenn ", "")
      rows[i] = { usage, sub.summary }
    end
    columns(lines, rows)
  else
    heading("Options:")
    columns(lines, help.option_rows(command))
  end
  if command.examples then
    heading("Examples:")
    local rows = {}
    for i, example in ipairs(command.examples) do
      rows[i] = { example[1], example[2] }
    end
    columns(lines, rows)
  end
  lines[#lines + 1] = ""
  return table.concat(lines, "\n")
end

--- The list of all commands.
function help.overview(ctx)
  local lines = { "usage: wrenn COMMAND [OPTION...] [OPERAND...]", "",
    "Capsules from the command line.", "" }
  local group
  local rows = {}
  local function put()
    if group then
      lines[#lines + 1] = ctx:bold(group)
      columns(lines, rows, 10) -- the longest name
      lines[#lines + 1] = ""
      rows = {}
    end
  end
  commands.each(function(command)
    if command.group ~= group then
      put()
      group = command.group
    end
    rows[#rows + 1] = { command.name, command.summary }
  end)
  put()
  lines[#lines + 1] = "More: wrenn help COMMAND, wrenn help TOPIC ("
    .. table.concat(require("wrenn.cli.topics").names, ", ") .. ")"
  lines[#lines + 1] = ""
  return table.concat(lines, "\n")
end

return help
