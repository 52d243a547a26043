-- Parses command lines by the tables in commands/. One table feeds this parser,
-- the help, the manual and the completion. A library such as lua-argparse could
-- do only the first: it does not stop at the first operand (`exec` hands all
-- words after it on), exits with 1 for misuse, completes no values such as ids,
-- and makes no manual.
--
-- Options may stand before and behind operands: --name VALUE, --name=VALUE,
-- -n VALUE, -nVALUE, bundled flags -it; `--` ends them.

local check = require("wrenn.check")
local exit = require("wrenn.cli.exit")
local types = require("wrenn.cli.types")

local parser = {}

--- What every command has.
parser.common = {
  { "json", help = "machine-readable output; errors as JSON on stderr" },
  { "help", short = "h", help = "show this help" },
}

--- The name under which an option's or an operand's value is found.
function parser.key(item)
  return item.key or (item[1] or item.name):lower():gsub("%-", "_")
end

--- Two lists of options as one.
function parser.join(first, second)
  local list = {}
  for _, options in ipairs({ first, second }) do
    for _, option in ipairs(options) do
      list[#list + 1] = option
    end
  end
  return list
end

--- All options of a command, the common ones last.
function parser.options(command)
  return parser.join(command.options or {}, parser.common)
end

local function index(command)
  local long, short = {}, {}
  for _, option in ipairs(parser.options(command)) do
    long[option[1]] = option
    if option.short then
      short[option.short] = option
    end
  end
  return long, short
end

-- The value of a word; `name` is what the user called it.
local function convert(item, word, name)
  for _, choice in ipairs(item.choices or {}) do
    if choice == word then
      return word
    end
  end
  if item.choices and not item.open then
    exit.misuse("%s: '%s' is none of %s", name, word,
      table.concat(item.choices, ", "))
  elseif word:find("\0", 1, true) then
    exit.misuse("%s: it holds a NUL byte", name)
  end
  local value, why = types[item.type or "string"](word)
  if value == nil then
    exit.misuse("%s: '%s' %s", name, word, why)
  end
  return value
end

local function store(args, option, value)
  local key = parser.key(option)
  if option.many then
    args[key] = args[key] or {}
    table.insert(args[key], value)
  else
    args[key] = value
  end
end

-- Takes the option in words[i]. Returns the index of the next word.
local function take_long(args, long, words, i)
  local name, equals, value = words[i]:match("^%-%-([^=]+)(=?)(.*)$")
  local option = name and long[name]
  if not option then
    exit.misuse("--%s: there is no such option%s", name or "",
      name and check.meant(name, long):gsub("'(.*)'", "'--%1'") or "")
  elseif not option.value then
    if equals == "=" then
      exit.misuse("--%s takes no value", name)
    end
    store(args, option, true)
    return i + 1
  elseif equals == "=" then
    store(args, option, convert(option, value, "--" .. name))
    return i + 1
  elseif not words[i + 1] then
    exit.misuse("--%s needs a value (%s)", name, option.value)
  end
  store(args, option, convert(option, words[i + 1], "--" .. name))
  return i + 2
end

local function take_short(args, short, words, i)
  local letters = words[i]:sub(2)
  while letters ~= "" do
    local letter = letters:sub(1, 1)
    local option = short[letter]
    letters = letters:sub(2)
    if not option then
      exit.misuse("-%s: there is no such option", letter)
    elseif not option.value then
      store(args, option, true)
    elseif letters ~= "" then
      store(args, option, convert(option, letters, "-" .. letter))
      return i + 1
    elseif not words[i + 1] then
      exit.misuse("-%s needs a value (%s)", letter, option.value)
    else
      store(args, option, convert(option, words[i + 1], "-" .. letter))
      return i + 2
    end
  end
  return i + 1
end

-- Whether the first operand is left out, and comes from a variable: there are
-- too few without it; or, where all further words belong to another operand,
-- `--` stood in its place.
local function is_left_out(operands, given, dashed)
  local first, last = operands[1], operands[#operands]
  if not first or not first.env then
    return false
  end
  local needed = 0
  for _, operand in ipairs(operands) do
    needed = needed + (operand.optional and 0 or 1)
  end
  return #given < needed or first.optional and #given == 0
    or dashed and last ~= first and last.many
end

local function assign(args, command, given, dashed, getenv)
  local operands = command.operands or {}
  local at = 1
  local left_out = is_left_out(operands, given, dashed)
  for i, operand in ipairs(operands) do
    local key = parser.key(operand)
    if i == 1 and left_out then
      local value = getenv(operand.env)
      if value == "" then
        value = nil
      end
      if not value and not operand.optional then
        exit.misuse("%s is missing, and %s is not set", operand.name,
          operand.env)
      end
      args[key] = operand.many and { value } or value
    elseif operand.many then
      args[key] = {}
      while given[at] do
        table.insert(args[key], convert(operand, given[at], operand.name))
        at = at + 1
      end
      if #args[key] == 0 and not operand.optional then
        exit.misuse("%s is missing", operand.name)
      end
    elseif given[at] then
      args[key] = convert(operand, given[at], operand.name)
      at = at + 1
    elseif not operand.optional then
      exit.misuse("%s is missing", operand.name)
    end
  end
  if given[at] then
    exit.misuse("'%s' is one operand too many", given[at])
  end
end

--- Parses the words after the name of a command. Returns the values by key:
--- true for a flag, an array for what may be given many times.
function parser.parse(command, words, getenv)
  local args, given = {}, {}
  local long, short = index(command)
  local i, over, dashed = 1, false, false
  while words[i] do
    local word = words[i]
    if over or word == "-" or word:sub(1, 1) ~= "-" then
      given[#given + 1] = word
      over = over or command.stops
      i = i + 1
    elseif word == "--" then
      over, dashed, i = true, #given == 0, i + 1
    elseif word:sub(1, 2) == "--" then
      i = take_long(args, long, words, i)
    else
      i = take_short(args, short, words, i)
    end
  end
  if not args.help then
    assign(args, command, given, dashed, getenv or os.getenv)
  end
  return args
end

return parser
