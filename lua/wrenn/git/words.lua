-- The arguments of a git method: some positional, the rest named, and checked
-- so that git takes none of them for an option.

local check = require("wrenn.check")

local words = {}

-- Arguments in places where git also accepts options. All others come after
-- "--" or belong to an option.
local guarded = {
  url = true, remote = true, branch = true, name = true, key = true,
  ref = true, source = true, start_point = true, initial_branch = true,
}
local addresses = { url = true, remote = true }
local may_be_empty = { value = true, password = true, cwd = true,
  author_name = true, author_email = true }
local common = { cwd = "string", envs = "map", timeout = "seconds|boolean" }

--- Raises misuse. `level` is that of error, counted from the caller.
function words.refuse(kind, name, fname, what, level)
  error(("bad %s '%s' to '%s' (%s)"):format(kind, name, fname, what),
    level + 1)
end

local function check_text(value, name, fname, level)
  local what
  if value == "" and not may_be_empty[name] then
    what = "it is empty"
  elseif value:find("%z") then
    what = "it holds a NUL byte"
  elseif addresses[name] and value:find("^%a[%w+.-]*::") then
    what = "it names a helper of git's, which may run anything"
  elseif guarded[name] and value:find("^%-") then
    what = "it begins with a dash"
  end
  if what then
    words.refuse("argument", name, fname, what, level + 1)
  end
end

local function check_values(call, fname, level)
  for name, value in pairs(call) do
    if type(value) == "string" then
      check_text(value, name, fname, level + 1)
    elseif name == "paths" then
      if #value == 0 then
        words.refuse("argument", name, fname, "it is empty", level + 1)
      end
      for _, path in ipairs(value) do
        check_text(path, name, fname, level + 1)
      end
    end
  end
  if call.timeout == true then
    words.refuse("option", "timeout", fname, "number or false expected",
      level + 1)
  end
end

local function is_options(value, name)
  return type(value) == "table"
    and not (name == "paths" and (value[1] ~= nil or next(value) == nil))
end

local function full_spec(spec)
  local full = {}
  for _, names in ipairs({ common, spec }) do
    for name, kind in pairs(names) do
      full[name] = kind
    end
  end
  return full
end

-- Moves the leading arguments into `call`; returns the options table.
local function take_positional(call, fname, names, spec, ...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    local name = (names[i] or ""):match("^%a[%w_]*")
    if is_options(value, name) then
      if select(i + 1, ...) ~= nil then
        words.refuse("argument", "opts", fname, "it comes last", 4)
      end
      return value
    elseif value ~= nil and not name then
      return value -- check.options reports what is wrong
    elseif value ~= nil then
      call[name] = check.arg(value, name, fname,
        (spec[name]:gsub("list", "table")), 4)
    end
  end
end

--- Reads the arguments of the method `fname` of a Git. `names` are those that
--- may be positional ("dest?" if it is optional); all of them and those in
--- `spec` may be in the options table. Returns them by name.
function words.take(self, fname, names, spec, ...)
  check.self(self, "is_git", fname, 3)
  local call = {}
  local opts = take_positional(call, fname, names, spec, ...)
  for name, value in pairs(check.options(opts, fname, full_spec(spec), 3)) do
    if call[name] == nil then
      call[name] = value
    end
  end
  for _, name in ipairs(names) do
    if not name:find("?", 1, true) then
      check.arg(call[name], name, fname, (spec[name]:gsub("list", "table")), 3)
    end
  end
  if type(call.paths) == "string" then
    call.paths = { call.paths }
  elseif call.paths then -- positional: its items have not been checked
    check.options({ paths = call.paths }, fname, { paths = "list" }, 3)
  end
  check_values(call, fname, 3)
  return call
end

--- Appends the words that follow, including those in lists; skips false.
function words.add(list, ...)
  for i = 1, select("#", ...) do
    local word = select(i, ...)
    if type(word) == "table" then
      for _, item in ipairs(word) do
        list[#list + 1] = item
      end
    elseif word then
      list[#list + 1] = word
    end
  end
  return list
end

return words
