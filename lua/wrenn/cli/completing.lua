-- What a word of a command line may become: names of commands and options, and
-- values, for which the server is asked if need be. The scripts of the shells
-- (commands/completion.lua) print what this returns.

local cli = require("wrenn.cli")
local commands = require("wrenn.cli.commands")
local parser = require("wrenn.cli.parser")

local completing = {}

-- Seconds that somebody who has pressed Tab waits.
local PATIENCE = 2

--- What stands for the names of files, which the shell completes itself.
completing.FILES = { file = ":file", directory = ":directory" }

local function client(ctx)
  local options = ctx:connection()
  options.timeout, options.connect_timeout = PATIENCE, PATIENCE
  options.retries = 0
  return require("wrenn").Client(options)
end

local sources = {}

function sources.capsule(ctx)
  local found = {}
  local made = client(ctx)
  for _, info in ipairs(made and made.capsules:list() or {}) do
    if info.status ~= "stopped" then
      local about = info.status
      if info.template then
        about = about .. ", " .. info.template
      end
      found[#found + 1] = { info.id, about }
    end
  end
  return found
end

local function templates(kind)
  return function(ctx)
    local found = {}
    local made = client(ctx)
    local list = made and made.snapshots:list({ type = kind }) or {}
    for _, template in ipairs(list) do
      if template.name then
        found[#found + 1] = { template.name, template.type }
      end
    end
    return found
  end
end
sources.template, sources.snapshot = templates(nil), templates("snapshot")

function sources.volume(ctx)
  local found = {}
  local made = client(ctx)
  for _, volume in ipairs(made and made.volumes:list() or {}) do
    found[#found + 1] = { volume.id, volume.name }
  end
  return found
end

-- The tags and pids of the capsule that the words before name.
function sources.process(ctx, before)
  local made = client(ctx)
  local id = before[1] or os.getenv("WRENN_CAPSULE")
  if not made or not id then
    return {}
  end
  ctx.made = made
  local ok, list = pcall(function()
    return require("wrenn.commands").new(made, ctx:id(id)):list()
  end)
  local found = {}
  for _, process in ipairs(ok and list or {}) do
    found[#found + 1] =
      { process.tag or ("%d"):format(process.pid), process.cmd }
  end
  return found
end

-- id:path, or a file of this machine.
function sources.capsule_path(ctx, _, word)
  local id, path = word:match("^([^:/]+):(.*)$")
  if not id then
    local found = sources.capsule(ctx)
    for _, one in ipairs(found) do
      one[1] = one[1] .. ":"
    end
    found[#found + 1] = { completing.FILES.file }
    return found
  end
  local made = client(ctx)
  local folder = path:match("^(.*/)") or ""
  ctx.made = made
  local ok, list = pcall(function()
    local full = ctx:id(id)
    local runner = require("wrenn.commands").new(made, full)
    return require("wrenn.files").new(made, full, runner)
      :list(folder == "" and "~" or folder)
  end)
  local found = {}
  for _, entry in ipairs(ok and list or {}) do
    found[#found + 1] = { id .. ":" .. folder .. entry.name
      .. (entry.type == "directory" and "/" or "") }
  end
  return found
end

function sources.command()
  local found = {}
  commands.each(function(command)
    found[#found + 1] = { command.name, command.summary }
  end)
  return found
end

function sources.topic()
  local found = sources.command()
  for _, name in ipairs(require("wrenn.cli.topics").names) do
    found[#found + 1] = { name }
  end
  return found
end

local function fixed(words)
  return function()
    local found = {}
    for word in words:gmatch("%S+") do
      found[#found + 1] = { word }
    end
    return found
  end
end
sources.status = fixed("pending starting running pausing paused resuming"
  .. " stopping stopped error")
sources.signal = fixed("HUP INT QUIT KILL USR1 USR2 TERM CONT STOP WINCH")
sources.filter = fixed("event= capsule= outcome= resource=")

for kind, stand_in in pairs(completing.FILES) do
  sources[kind] = function()
    return { { stand_in } }
  end
end

-- What may stand for an option or an operand.
local function values(ctx, item, before, word)
  if item.choices then
    return fixed(table.concat(item.choices, " "))()
  end
  local source = item.complete and sources[item.complete]
  return source and source(ctx, before, word) or {}
end

local function option_names(command)
  local found = {}
  for _, option in ipairs(parser.options(command)) do
    found[#found + 1] = { "--" .. option[1], option.help }
  end
  return found
end

local function option_of(command, word)
  for _, option in ipairs(parser.options(command)) do
    if word == "--" .. option[1]
      or option.short and word:find("^%-%w*" .. option.short .. "$")
    then
      return option
    end
  end
end

-- Goes through the words before the last one: the operands among them, and the
-- option that waits for a value.
local function scan(command, words)
  local before, waiting, over = {}, nil, false
  for _, word in ipairs(words) do
    if waiting then
      waiting = nil
    elseif over or word:sub(1, 1) ~= "-" or word == "-" then
      before[#before + 1] = word
      over = over or command.stops
    elseif word == "--" then
      over = true
    else
      local option = option_of(command, word)
      waiting = option and option.value and option or nil
    end
  end
  return before, waiting, over
end

local function in_command(ctx, command, words, word)
  local before, waiting, over = scan(command, words)
  if waiting then
    return values(ctx, waiting, before, word)
  elseif not over and word:sub(1, 1) == "-" then
    local name, start = word:match("^(%-%-[^=]+)=(.*)$")
    local option = name and option_of(command, name)
    if not option then
      return option_names(command)
    end
    local found = values(ctx, option, before, start)
    for _, one in ipairs(found) do
      one[1] = one[1]:sub(1, 1) == ":" and one[1] or name .. "=" .. one[1]
    end
    return found
  end
  local operands = command.operands or {}
  local operand = operands[#before + 1] or operands[#operands]
  if not operand or not operands[#before + 1] and not operand.many then
    return {}
  end
  return values(ctx, operand, before, word)
end

--- What the last of the words, which may be empty, may become: {text, about}.
function completing.find(ctx, words)
  local word = table.remove(words) or ""
  local name = table.remove(words, 1)
  local found
  if not name then
    found = word:sub(1, 1) == "-" and { { "--help" }, { "--version" } }
      or sources.command()
  else
    local command = commands.find(name)
    if command and command.subcommands then
      local sub_name = table.remove(words, 1)
      if not sub_name then
        found = {}
        for _, sub in ipairs(command.subcommands) do
          found[#found + 1] = { sub.name, sub.summary }
        end
        command = nil
      else
        command = cli.subcommand(command, sub_name)
      end
    end
    found = found or command and in_command(ctx, command, words, word) or {}
  end
  local chosen = {}
  for _, one in ipairs(found) do
    if one[1]:sub(1, 1) == ":" or one[1]:sub(1, #word) == word then
      chosen[#chosen + 1] = one
    end
  end
  return chosen, word
end

--- Splits the beginning of a command line as a shell would, the name of the
--- program aside. The last word may be empty.
function completing.split(line)
  local words, word, quote, i = {}, nil, nil, 1
  while i <= #line do
    local char = line:sub(i, i)
    if char == "\\" and quote ~= "'" then
      i = i + 1
      word = (word or "") .. line:sub(i, i)
    elseif quote then
      if char == quote then
        quote = nil
      else
        word = word .. char
      end
    elseif char == "'" or char == '"' then
      quote, word = char, word or ""
    elseif char:find("%s") then
      words[#words + 1] = word
      word = nil
    else
      word = (word or "") .. char
    end
    i = i + 1
  end
  words[#words + 1] = word or ""
  table.remove(words, 1)
  return words
end

return completing
