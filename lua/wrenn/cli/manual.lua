--- Man pages and the table of commands, from the commands' tables.

local commands = require("wrenn.cli.commands")
local help = require("wrenn.cli.help")
local topics = require("wrenn.cli.topics")

local manual = {}

-- Text that roff must not take for a request or an escape.
local function roff(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-")
  return (("\n" .. text):gsub("\n([.'])", "\n\\&%1"):sub(2))
end

local function put(lines, ...)
  for _, line in ipairs({ ... }) do
    lines[#lines + 1] = line
  end
end

local function head(lines, name, summary)
  put(lines, ('.TH %s 1 "" "wrenn %s" "wrenn"'):format(
    roff(name:upper():gsub(" ", "-")), roff(require("wrenn.version"))),
    ".SH NAME", roff(name:gsub(" ", "-")) .. " \\- " .. roff(summary))
end

-- Paragraphs of a description.
local function paragraphs(lines, text)
  for paragraph in (text .. "\n\n"):gmatch("(.-)\n\n+") do
    put(lines, ".PP", roff(paragraph))
  end
end

local function put_options(lines, command)
  for _, row in ipairs(help.option_rows(command)) do
    put(lines, ".TP", "\\fB" .. roff(row[1]:gsub("^%s+", "")) .. "\\fR",
      row[2] == "" and "\\&" or roff(row[2]))
  end
end

local function put_examples(lines, command)
  if command.examples then
    put(lines, ".SH EXAMPLES")
    for _, example in ipairs(command.examples) do
      put(lines, ".TP", "\\fB" .. roff(example[1]) .. "\\fR", roff(example[2]))
    end
  end
end

-- The page of a command.
local function page(command)
  local lines = {}
  head(lines, "wrenn " .. command.name, command.summary)
  put(lines, ".SH SYNOPSIS")
  if command.also then
    put(lines, "\\fBwrenn " .. roff(command.also[1]) .. "\\fR", ".br")
  end
  for i, sub in ipairs(command.subcommands or { command }) do
    local name = sub == command and command.name
      or command.name .. " " .. sub.name
    put(lines, i > 1 and ".br" or nil)
    put(lines, "\\fB" .. roff(help.usage(sub, name)) .. "\\fR")
  end
  put(lines, ".SH DESCRIPTION", roff(command.summary) .. ".")
  if command.description then
    paragraphs(lines, command.description)
  end
  if command.subcommands then
    for _, sub in ipairs(command.subcommands) do
      put(lines, ".SS " .. roff(command.name .. " " .. sub.name),
        roff(sub.summary) .. ".")
      if sub.description then
        paragraphs(lines, sub.description)
      end
      put_options(lines, sub)
    end
  else
    put(lines, ".SH OPTIONS")
    put_options(lines, command)
  end
  put_examples(lines, command)
  put(lines, ".SH SEE ALSO", ".BR wrenn (1)", "")
  return table.concat(lines, "\n")
end

local function overview()
  local lines = {}
  head(lines, "wrenn", "capsules from the command line")
  put(lines, ".SH SYNOPSIS", "\\fBwrenn\\fR COMMAND [OPTION...] [OPERAND...]",
    ".SH COMMANDS")
  commands.each(function(command)
    put(lines, ".TP",
      "\\fBwrenn\\-" .. roff(command.name) .. "\\fR(1)",
      roff(command.summary))
  end)
  for _, name in ipairs(topics.names) do
    put(lines, ".SH " .. roff(name:upper():gsub("%-", " ")), ".nf",
      roff((topics.texts[name]:gsub("\n$", ""))), ".fi")
  end
  put(lines, "")
  return table.concat(lines, "\n")
end

--- Returns the man page of a command, or that of wrenn itself without a name.
---@param name? string
---@return string|nil roff  nil: there is no such command
function manual.page(name)
  if not name or name == "wrenn" then
    return overview()
  end
  local command = commands.find(name)
  return command and page(command)
end

--- Returns all man pages by the names of their files ("wrenn-list.1").
---@return table<string, string>
function manual.pages()
  local pages = { ["wrenn.1"] = overview() }
  commands.each(function(command)
    pages["wrenn-" .. command.name .. ".1"] = page(command)
  end)
  return pages
end

local function cell(text)
  return (text:gsub("|", "\\|"))
end

--- Returns the table of commands in Markdown.
---@return string
function manual.table()
  local lines, group = {}, nil
  commands.each(function(command)
    if command.group ~= group then
      group = command.group
      put(lines, group and lines[1] and "" or nil)
      put(lines, "### " .. group, "", "| command | what it does |",
        "| --- | --- |")
    end
    if command.also then
      put(lines, ("| `wrenn %s` | %s |"):format(cell(command.also[1]),
        cell(command.also[2])))
    end
    for _, sub in ipairs(command.subcommands or { command }) do
      local name = sub == command and command.name
        or command.name .. " " .. sub.name
      put(lines, ("| `%s` | %s |"):format(cell(help.usage(sub, name)),
        cell(sub.summary)))
    end
  end)
  put(lines, "")
  return table.concat(lines, "\n")
end

return manual
