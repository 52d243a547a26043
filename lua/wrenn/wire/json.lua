-- JSON. The core decodes it: whole numbers become integers where Lua has them,
-- and null becomes nil. The host's codec encodes it: vim.json in Neovim, whose
-- program exports functions of its own that a cjson.so would call instead of
-- those it was built with; lua-cjson elsewhere.

local core = require("wrenn.core")

local json = {}

local nvim = rawget(_G, "vim")
if type(nvim) ~= "table" or type(nvim.json) ~= "table" then
  nvim = nil
end

-- vim.json encodes an empty table as an array, unless it is marked.
local function marked(value)
  if type(value) ~= "table" then
    return value
  elseif next(value) == nil then
    return nvim.empty_dict()
  end
  local copy = {}
  for key, item in pairs(value) do
    copy[key] = marked(item)
  end
  return copy
end

-- An own instance: the program may have configured the one that it uses.
local function new_codec()
  if nvim then
    local codec = nvim.json.new and nvim.json.new() or nvim.json
    return function(value)
      return codec.encode(marked(value))
    end
  end
  local found, cjson = pcall(require, "cjson")
  if not found then
    error("the module cjson cannot be loaded (package lua-cjson): "
      .. tostring(cjson):match("[^\n]*"), 0)
  end
  local codec = cjson.new()
  codec.encode_sparse_array(false)
  return codec.encode
end

-- Longer than the first buffer of an encoder, with all kinds of values.
local SAMPLE = {
  path = "/root/x", cmd = "/bin/sh", args = { "-c", 'a\\"b\n\t\1\195\169' },
  numbers = { 0, -1, 0.25, 12345678901234 }, yes = true, no = false,
  empty = {}, long = ("0123456789"):rep(700), deep = { { { a = { "b" } } } },
}

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

local function try()
  local encode = new_codec()
  local text = encode(SAMPLE)
  if not same(core.json(text), SAMPLE)
    or not text:find('"empty":{}', 1, true)
  then
    error((nvim and "vim.json" or "lua-cjson")
      .. " does not encode what it is given; is another library in this"
      .. " program in its way?", 0)
  end
  return encode
end

local encode
local locale -- the one that the codec was created in

--- Creates the codec and tries it, before the first use. Returns true, or nil
--- and why there is none. The locale may change at any time; a codec reads the
--- decimal point when created. LuaJIT's own formatting would not show it.
function json.ready()
  local now = os.setlocale(nil, "numeric")
  if encode and now == locale then
    return true
  end
  local ok, result = pcall(try)
  if not ok then
    return nil, tostring(result)
  end
  encode, locale = result, now
  return true
end

--- Returns the value, or nil and the reason if the text is malformed. For
--- JSON's null it returns nil without a reason.
json.decode = core.json

--- Encodes a table with string keys or a non-empty array. An empty table is an
--- object.
function json.encode(value)
  local ready, why = json.ready()
  if not ready then
    error(why, 0)
  end
  return encode(value)
end

return json
