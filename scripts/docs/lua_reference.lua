-- Writes the reference of the Lua API: whatever can be reached from the module,
-- and its faults: what has no comment, or names what there is not.

local lua_reference = {}

local INTRO = [[
# The Lua API

<!-- Made from the comments in lua/wrenn by `make docs`. -->

`local wrenn = require "wrenn"` gives the first class below; the others are
what its functions take and return. A call that fails at run time returns
`nil, err`, where `err` is a [`wrenn.Error`](#wrennerror); misuse raises an
error that names the argument. Times are in seconds, strings are bytes.
`name?` may be left out or nil; what holds then is in the text, often just in
parentheses.
]]

local function slug(heading)
  return (heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-"))
end

-- ---- what is public --------------------------------------------------------

-- The names of classes and aliases in a type or a text.
local function names_in(text)
  local list = {}
  for name in text:gmatch("wrenn%.[%w_.]*[%w_]") do
    list[#list + 1] = name
  end
  return list
end

local function each_type(class)
  local list = { class.parent }
  local function add(texts)
    for _, text in ipairs(texts) do
      list[#list + 1] = text
    end
  end
  add(class.overloads)
  for _, field in ipairs(class.fields) do
    list[#list + 1] = field.type
  end
  for _, fn in ipairs(class.functions) do
    add(fn.overloads)
    for _, part in ipairs({ fn.params, fn.results }) do
      for _, value in ipairs(part) do
        list[#list + 1] = value.type
      end
    end
  end
  return list
end

-- The classes in the order in which they are needed: those that have functions
-- one after the other, each followed by those that are only tables.
local function in_order(model)
  local order, seen, queue = {}, {}, { "wrenn" }
  local function visit(name)
    if seen[name] then
      return
    end
    local one = model.classes[name] or model.aliases[name]
    if not one then
      error("there is no class " .. name, 0)
    elseif one.functions and #one.functions > 0 and name ~= queue.now then
      queue[#queue + 1] = name
      return
    end
    seen[name] = true
    order[#order + 1] = one
    for _, text in ipairs(one.functions and each_type(one) or { one.type }) do
      for _, other in ipairs(names_in(text)) do
        visit(other)
      end
    end
  end
  local at = 1
  while queue[at] do
    queue.now = queue[at]
    visit(queue[at])
    at = at + 1
  end
  return order
end

-- ---- Markdown --------------------------------------------------------------

-- A type as code, with links to what is described here.
local function shown_type(model, text)
  local out, at = {}, 1
  local function code(part)
    if part ~= "" then
      out[#out + 1] = "`" .. part .. "`"
    end
  end
  for start, name, stop in text:gmatch("()(wrenn[%w_.]*[%w_])()") do
    if model.classes[name] or model.aliases[name] then
      code(text:sub(at, start - 1))
      out[#out + 1] = ("[`%s`](#%s)"):format(name, slug(name))
      at = stop
    end
  end
  code(text:sub(at))
  return table.concat(out)
end

-- A comment's text: what is not in `code` is no markup.
local function shown_text(text)
  local out = {}
  for plain, code in (text .. "``"):gmatch("([^`]*)(`[^`]*`)") do
    out[#out + 1] = plain:gsub("[<*]", "\\%0") .. (code == "``" and "" or code)
  end
  return table.concat(out)
end

local function add_value(model, out, label, value)
  local line = ("- %s%s"):format(label, shown_type(model, value.type))
  if value.description ~= "" then
    line = line .. ": " .. shown_text(value.description)
  end
  out[#out + 1] = line
end

local function signature(class, fn)
  local list = {}
  for _, param in ipairs(fn.params) do
    list[#list + 1] = param.name .. (param.optional and "?" or "")
  end
  local either = fn.params[1] and fn.params[1].name == "self_or_id"
  if either then
    table.remove(list, 1)
  end
  local text = ("%s(%s)"):format(fn.name, table.concat(list, ", "))
  if fn.method or either then
    return fn.receiver .. ":" .. text, either
  end
  return class.name .. "." .. text
end

local function add_function(model, out, class, fn)
  local name, either = signature(class, fn)
  out[#out + 1] = ("\n### `%s`\n"):format(name)
  out[#out + 1] = shown_text(fn.text) .. "\n"
  if either then
    out[#out + 1] = ("`%s.%s` takes an id, too.\n"):format(class.name, fn.name)
  end
  for i, param in ipairs(fn.params) do
    if not (either and i == 1) then
      add_value(model, out, ("`%s%s` "):format(param.name,
        param.optional and "?" or ""), param)
    end
  end
  for _, result in ipairs(fn.results) do
    add_value(model, out, "returns " .. (result.name and "`" .. result.name
      .. "` " or ""), result)
  end
end

local function add_class(model, out, class)
  out[#out + 1] = ("\n## `%s`\n"):format(class.name)
  if class.parent then
    out[#out + 1] = ("As %s, and:\n"):format(shown_type(model, class.parent))
  end
  if class.text ~= "" then
    out[#out + 1] = shown_text(class.text) .. "\n"
  end
  for _, field in ipairs(class.fields) do
    add_value(model, out, ("`%s%s` "):format(field.name,
      field.optional and "?" or ""), field)
  end
  for _, fn in ipairs(class.functions) do
    add_function(model, out, class, fn)
  end
end

-- ---- faults ----------------------------------------------------------------

-- Adds to `faults` what a class lacks; of one that cannot be reached, only its
-- fields are described.
local function find_faults(faults, class, public)
  local function want(text, place, what)
    if text == "" then
      faults[#faults + 1] = ("%s: %s of %s has no description"):format(place,
        what, class.name)
    end
  end
  for _, field in ipairs(class.fields) do
    want(field.description, class.place, "field '" .. field.name .. "'")
  end
  local seen = {}
  for _, fn in ipairs(public and class.functions or {}) do
    want(fn.text, fn.place, "function '" .. fn.name .. "'")
    if seen[fn.name] then
      faults[#faults + 1] = fn.place .. ": a second " .. fn.name
    end
    seen[fn.name] = true
  end
end

--- Returns the document, and a list of faults.
function lua_reference.write(model)
  local out, faults, public = { INTRO }, model.faults, {}
  local order = in_order(model)
  for _, one in ipairs(order) do
    out[#out + 1] = ("- [`%s`](#%s)"):format(one.name, slug(one.name))
  end
  for _, one in ipairs(order) do
    if one.functions then
      add_class(model, out, one)
      public[one] = true
    else
      out[#out + 1] = ("\n## `%s`\n"):format(one.name)
      out[#out + 1] = shown_text(one.text) .. "\n"
      add_value(model, out, "", one)
    end
  end
  for _, class in pairs(model.classes) do
    find_faults(faults, class, public[class])
  end
  table.sort(faults)
  return table.concat(out, "\n"):gsub("\n\n\n+", "\n\n") .. "\n", faults
end

return lua_reference
