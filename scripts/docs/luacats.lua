-- Reads the LuaCATS comments of the module: its classes, their fields and their
-- functions. What is marked as internal is left out.

local luacats = {}

-- ---- types -----------------------------------------------------------------

local closing = { ["("] = ")", ["{"] = "}", ["<"] = ">", ["["] = "]" }

-- The end of a bracketed or quoted part that begins at `at`.
local function end_of_part(text, at)
  local first = text:sub(at, at)
  if first == '"' then
    return assert(text:find('"', at + 1, true), text)
  end
  local want = closing[first]
  at = at + 1
  while text:sub(at, at) ~= want do
    local c = text:sub(at, at)
    assert(c ~= "", "a bracket is not closed: " .. text)
    if closing[c] or c == '"' then
      at = end_of_part(text, at)
    end
    at = at + 1
  end
  return at
end

-- The end of the type at the beginning of a text: it ends with a space outside
-- of brackets, unless it is a function whose results follow.
local function end_of_type(text)
  local at, function_ends, colon = 1, nil, nil
  while at <= #text do
    local c = text:sub(at, at)
    if c == " " then
      local results = function_ends == at - 2 and colon == at - 1
        or colon and text:sub(at - 1, at - 1) == ","
      if not results then
        return at - 1
      end
    elseif c == "(" and text:sub(at - 3, at - 1) == "fun" then
      at = end_of_part(text, at)
      function_ends = at
    elseif closing[c] or c == '"' then
      at = end_of_part(text, at)
    elseif c == ":" then
      colon = at
    end
    at = at + 1
  end
  return #text
end

-- Splits "type description" or "type name  description".
local function split_type(text, named)
  local stop = end_of_type(text)
  local type_name, rest = text:sub(1, stop), text:sub(stop + 1)
  local name
  if named then
    name = rest:match("^ ([%w_.]+)$") or rest:match("^ ([%w_.]+) ")
    rest = name and rest:sub(#name + 2) or rest
  end
  return type_name, rest:match("^%s*#?%s*(.-)%s*$"), name
end

-- ---- comments --------------------------------------------------------------

local tags = {}

function tags.class(block, text)
  local partial = text:find("^%(partial%)") ~= nil
  local name, parent, description =
    text:gsub("^%b()%s*", ""):match("^([%w_.]+)%s*:?%s*([%w_.]*)%s*(.*)$")
  block.class = { name = name, parent = parent ~= "" and parent or nil,
    description = description, partial = partial, fields = {},
    functions = {}, overloads = {} }
  return block.class
end

function tags.field(block, text)
  text = text:gsub('^%["(.-)"%]', "%1") -- a name that is a word of LuaCATS
  local name, mark, rest = text:match("^([%w_]+)(%??)%s+(.*)$")
  local type_name, description = split_type(rest)
  local field = { name = name, optional = mark == "?", type = type_name,
    description = description }
  table.insert(block.class.fields, field)
  return field
end

function tags.alias(block, text)
  local name, type_name = text:match("^([%w_.]+)%s+(.*)$")
  block.alias = { name = name, type = type_name, description = "" }
  return block.alias
end

function tags.param(block, text)
  local name, mark, rest = text:match("^([%w_.]+)(%??)%s+(.*)$")
  local type_name, description = split_type(rest)
  local param = { name = name, optional = mark == "?", type = type_name,
    description = description }
  table.insert(block.params, param)
  return param
end

tags["return"] = function(block, text)
  local type_name, description, name = split_type(text, true)
  local result = { name = name, type = type_name, description = description }
  table.insert(block.results, result)
  return result
end

function tags.type(block, text)
  local type_name, description = split_type(text)
  block.type = { type = type_name, description = description }
  return block.type
end

function tags.overload(block, text)
  -- Of a class, which can be called, or of a function.
  table.insert(block.class and block.class.overloads or block.overloads, text)
end

-- What says nothing to a reader.
for _, name in ipairs({ "generic", "cast", "diagnostic", "private", "package",
  "protected", "internal", "operator", "meta", "see", "async" })
do
  tags[name] = function(block)
    block[name] = true
  end
end

-- Makes a block of the lines of a comment, without their dashes.
local function read_comment(lines, place)
  local block = { text = {}, params = {}, results = {}, overloads = {},
    place = place }
  local current
  for _, line in ipairs(lines) do
    local tag, rest = line:match("^@(%a+)%s*(.*)$")
    if tag then
      local read = assert(tags[tag], place .. ": @" .. tag .. " is unknown")
      current = read(block, rest)
    elseif current and line:find("^  ") then
      current.description = current.description .. " "
        .. line:match("^%s*(.*)$")
      current.description = current.description:match("^%s*#?%s*(.*)$")
    else
      table.insert(block.text, (line:gsub("^ ", "")))
    end
  end
  block.text = table.concat(block.text, "\n")
  return block
end

-- ---- files -----------------------------------------------------------------

-- The blocks of a file, each with the line of code below it.
local function each_block(path)
  local blocks, lines, number = {}, nil, 0
  for line in io.lines(path) do
    number = number + 1
    local text = line:match("^%s*%-%-%-(.*)$")
    if text and not text:find("^%-") then
      lines = lines or {}
      lines[#lines + 1] = text
    elseif lines then
      local block = read_comment(lines, path .. ":" .. number)
      block.code, block.first = line, number - #lines
      blocks[#blocks + 1] = block
      lines = nil
    end
  end
  return blocks
end

-- Adds a class, or what a further comment adds to one.
local function add_class(model, block)
  local new = block.class
  local class = model.classes[new.name]
  if not class then
    class = new
    class.place = block.place
    class.text = ""
    model.classes[new.name] = class
  end
  if class ~= new then
    if not (class.partial and new.partial) then
      table.insert(model.faults, ("%s: a second class %s; the first is at %s")
        :format(block.place, new.name, class.place))
    end
    for _, field in ipairs(new.fields) do
      table.insert(class.fields, field)
    end
  end
  if block.text ~= "" then
    class.text = block.text
  end
  return class
end

-- "fun(a: integer, b?: string): x, y" as parameters and results.
local function take_apart(block)
  local list, results = block.type.type:match("^fun(%b()):?%s*(.*)$")
  for part in (list:sub(2, -2) .. ","):gmatch("%s*([^,]*),") do
    local name, mark, type_name = part:match("^([%w_.]+)(%??):?%s*(.*)$")
    if name and name ~= "self" then
      table.insert(block.params, { name = name, optional = mark == "?",
        type = type_name, description = "" })
    end
  end
  if results ~= "" then
    table.insert(block.results, { type = results,
      description = block.type.description })
  end
  return list:find("^%(self")
end

-- Adds the function below a comment to its class, if it is a public one.
local function add_function(model, block, classes)
  local receiver, mark, name =
    block.code:match("^function ([%w_]+)([.:])([%w_]+)")
  if not receiver then
    receiver, name = block.code:match("^([%w_]+)%.([%w_]+) = ")
    mark = "."
  end
  local class = receiver and (classes[receiver]
    or model.classes["wrenn." .. receiver])
  if not class or block.internal then
    return
  end
  if block.type and take_apart(block) or block.code:find(" = reader%.%a+$") then
    mark = ":"
  elseif block.type and not block.type.type:find("^fun") then
    return
  end
  table.insert(class.functions, { name = name, method = mark == ":",
    receiver = receiver:lower(), text = block.text, params = block.params,
    results = block.results, overloads = block.overloads,
    place = block.place })
end

--- Reads files into a model: {classes =, aliases =} by name, and a list of
--- `faults`.
function luacats.read(paths)
  local model = { classes = {}, aliases = {}, faults = {} }
  local files = {}
  for _, path in ipairs(paths) do
    local blocks, classes = each_block(path), {}
    files[#files + 1] = { blocks = blocks, classes = classes }
    -- What the file begins with is about the first of its classes.
    local heading = blocks[1] and blocks[1].first == 1 and blocks[1].text
    for _, block in ipairs(blocks) do
      if block.alias then
        block.alias.text = block.text
        model.aliases[block.alias.name] = block.alias
      elseif block.class then
        local class = add_class(model, block)
        local variable = block.code:match("^local ([%w_]+)")
          or block.code:match("^[%w_]+%.([%w_]+) = ")
        if variable then
          classes[variable] = class
          class.text = class.text ~= "" and class.text or heading or ""
          heading = nil
        end
      end
    end
  end
  for _, file in ipairs(files) do
    for _, block in ipairs(file.blocks) do
      if not block.class then
        add_function(model, block, file.classes)
      end
    end
  end
  return model
end

return luacats
