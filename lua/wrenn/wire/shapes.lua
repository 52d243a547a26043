-- The shapes of answers: the fields of each object that servers send, and their
-- types. Code that reads an answer may rely on the required fields; optional
-- and unknown fields are passed through.

local misfit = require("wrenn.core").misfit

local shapes = {}

-- Fields and types by name of the shape. A question mark makes a field
-- optional, and null then counts as absent. "text" is a string that is not
-- empty, "id" a positive integer, "list:x" an array of objects of the shape x.
local objects = {
  health = { status = "string?", version = "string?" },
  capsule = {
    id = "text", status = "text", template = "string?", vcpus = "number?",
    memory_mb = "number?", timeout_sec = "number?", metadata = "table?",
    created_at = "string?", started_at = "string?",
  },
  stats = {
    range = "string?", current = "table?", peaks = "table?", series = "table?",
  },
  usage = { from = "string?", to = "string?", points = "list:any?" },
  metrics = { range = "string?", points = "list:any?" },
  template = {
    name = "text", type = "string?", vcpus = "number?", memory_mb = "number?",
    size_bytes = "number?", platform = "boolean?", owned = "boolean?",
    team_slug = "string?",
  },
  listed_template = {
    name = "string?", type = "string?", owned = "boolean?",
    team_slug = "string?",
  },
  template_page = {
    templates = "list:listed_template", total_pages = "number?",
    per_page = "number?",
  },
  volume = {
    id = "text", name = "text", size_mb = "number", status = "text",
    mount_path = "string?", sandbox_id = "string?", host_id = "string?",
  },
  result = { -- of a foreground command
    exit_code = "integer", stdout = "string?", stderr = "string?",
    encoding = "string?", duration_ms = "number?",
  },
  process = { pid = "id", tag = "string?", cmd = "string?", args = "table?" },
  processes = { processes = "list:process?" },
  entry = {
    name = "text", path = "string?", type = "string?", size = "number?",
    mode = "number?", permissions = "string?", owner = "string?",
    group = "string?", modified_at = "number?", symlink_target = "string?",
  },
  entries = { entries = "list:entry" },
  made = { entry = "entry" },
  event = {
    event = "string?", outcome = "string?", resource = "table?",
    actor = "table?", metadata = "table?", sandbox = "table?",
    timestamp = "string?",
  },
  -- From Jupyter.
  kernel = { id = "text", name = "string?", execution_state = "string?" },
  kernelspecs = { default = "string?", kernelspecs = "table" },
  any = {},
}

-- Answers that are arrays.
local lists = {
  capsules = "capsule", volumes = "volume",
  kernels = "kernel", template_list = "listed_template",
}

-- Answers with alternatives, depending on the server.
local choices = {
  templates = function(_, is_array)
    return is_array and "template_list" or "template_page"
  end,
  snapshot = function(value)
    return value.status ~= nil and "capsule" or "template"
  end,
}

-- The fields of each shape, parsed once; and in `kinds` their names and kinds
-- in turn, as core.misfit takes them, "" where there is more to check.
local compiled = {}
for shape, fields in pairs(objects) do
  local list = {}
  for name, kind in pairs(fields) do
    local plain = kind:match("^[^?]+")
    local items = plain:match("^list:(.*)$")
    local more = items or objects[plain] or plain == "id" or plain == "integer"
    list[#list + 1] = { name = name, kind = plain, optional = plain ~= kind,
      items = items, simple = more and "" or plain }
  end
  table.sort(list, function(a, b)
    return a.name < b.name
  end)
  list.kinds = {}
  for i, field in ipairs(list) do
    list.kinds[2 * i - 1] = field.name
    list.kinds[2 * i] = (field.optional and "?" or "") .. field.simple
  end
  compiled[shape] = list
end

local nouns = {
  text = "a string", id = "a whole number above 0",
  integer = "a whole number", table = "an object",
}

local check_object

-- Reports a mismatch: the reason, and its place, which is assembled on the way
-- up.
local function below(name, where)
  if where and where:sub(1, 1) ~= "[" then
    return name .. "." .. where
  end
  return name .. (where or "")
end

-- The decoder does not distinguish an empty object from an empty array.
local function is_braces(name, text)
  return name and text:find('"' .. name .. '"%s*:%s*{%s*}') ~= nil
end

-- Nor does it keep null in an array: that would be a shorter list. `name` is
-- absent for the outermost array.
local function has_null(text, name)
  if not text:find("[%[,]%s*null%s*[,%]]") then
    return false
  end
  -- Without what strings contain, and what objects in the array do.
  local plain = text:gsub("\\.", ""):gsub('"([^"]*)"(%s*:?)',
    function(content, colon)
      return colon:find(":", 1, true) and '"' .. content .. '":' or '""'
    end)
  local array = name and plain:match('"' .. name .. '":%s*(%b[])')
    or not name and plain or ""
  return array:gsub("%b{}", "{}"):find("null", 1, true) ~= nil
end

local function check_list(list, shape, text, name)
  if type(list) ~= "table" or list[1] == nil
    and (next(list) ~= nil or is_braces(name, text))
  then
    return nil, "is not an array"
  elseif has_null(text, name) then
    return nil, "contains null"
  end
  for i, item in ipairs(list) do
    local ok, why, where = check_object(item, shape, text)
    if not ok then
      return nil, why, below("[" .. i .. "]", where)
    end
  end
  return true
end

-- Beyond it a number of JSON is not exact, and no Lua's "%d" takes all of them.
local MOST = 2 ^ 53

local function is_kind(value, kind)
  if kind == "id" or kind == "integer" then
    return type(value) == "number" and value % 1 == 0
      and value >= (kind == "id" and 1 or -MOST) and value <= MOST
  end
  return type(value) == kind
end

local function check_field(value, field, text)
  if value == nil then
    -- Some servers send null for an empty array.
    if field.optional or field.items
      and text:find('"' .. field.name .. '"%s*:%s*null')
    then
      return true
    end
    return nil, "is missing"
  elseif field.items then
    return check_list(value, field.items, text, field.name)
  elseif objects[field.kind] then
    return check_object(value, field.kind, text)
  elseif value == "" and field.kind == "text" then
    return nil, "is empty"
  elseif not is_kind(value, field.kind) then
    return nil, "is not " .. (nouns[field.kind] or "a " .. field.kind)
  end
  return true
end

function check_object(value, shape, text)
  if type(value) ~= "table" or value[1] ~= nil then
    return nil, "is not an object"
  end
  local fields = compiled[shape]
  local at = misfit(value, fields.kinds, 1)
  while at do
    local field = fields[at]
    local ok, why, where = check_field(value[field.name], field, text)
    if not ok then
      return nil, why, below(field.name, where)
    end
    at = misfit(value, fields.kinds, at + 1)
  end
  return true
end

--- Checks a decoded answer; `text` is its JSON. Returns true, or nil and the
--- reason, such as "'id' is missing".
function shapes.check(shape, value, text)
  local first = text:byte(1)
  local is_array = first == 91 -- [
    or first ~= 123 and text:find("^%s*%[") ~= nil
  local ok, why, where
  if choices[shape] then
    shape = choices[shape](value, is_array)
  end
  if not lists[shape] and is_array then
    why = "is an array, not an object"
  elseif lists[shape] and not is_array then
    why = "is not an array"
  elseif lists[shape] then
    ok, why, where = check_list(value, lists[shape], text)
  else
    ok, why, where = check_object(value, shape, text)
  end
  if ok then
    return true
  end
  return nil, (where and "'" .. where .. "'" or "the answer") .. " " .. why
end

--- Checks the required fields of the first frame; the core has checked the
--- types.
function shapes.check_start(frame)
  if (frame.pid or 0) < 1 then
    return nil, ("the %s frame has no pid"):format(frame.type)
  end
  return true
end

return shapes
