-- What the Luas do not have in common, for specs. All specs run under Lua 5.1,
-- 5.3, 5.4 and LuaJIT, so in a spec:
--   * read("*a"), read("*l"), read("*n"): 5.1 wants the star;
--   * compat.unpack, compat.is_integer, compat.output_of and compat.lua instead
--     of table.unpack, math.type, io.popen and the word "lua5.4";
--   * no //, &, |, ~, <<, goto, \x, \u, utf8, string.pack, math.tointeger; what
--     only newer Luas can parse (<close>) goes through load() and a check of
--     compat.has_close;
--   * os.execute and pipe:close() give other values on 5.1: do not look at them
--     (write "cmd; echo $?" and read it);
--   * `for ev in stream` cannot yield on PUC 5.1: inside a task it drives the
--     loop in place, so two such tasks take turns, each until its end;
--   * PUC 5.1 has no yield across pcall, and no error objects through the plain
--     `assert` (busted's, which specs see, takes them);
--   * a C function is no coroutine body on 5.1, and %s of a table is an error;
--   * table order differs: sort what comes out of pairs.
-- peer_main.lua and the scripts given to it are the exception: always Lua 5.4.

local compat = {}

-- luacheck: push ignore 113 143
compat.unpack = table.unpack or unpack
local type_of_number = math.type
-- luacheck: pop

--- Whether a number is whole, and of the type for it where there is one.
function compat.is_integer(number)
  if type_of_number then
    return type_of_number(number) == "integer"
  end
  return type(number) == "number" and number % 1 == 0
end

-- The interpreter is the word before all others on its command line.
local function running_lua()
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  return arg[first]
end

--- The command that starts the Lua that runs the specs.
compat.lua = os.getenv("WRENN_SPEC_LUA") or running_lua()

--- Whether `local x <close>` can be parsed.
compat.has_close = (loadstring or load)("local x <close> = nil") ~= nil

--- Runs a shell command and returns what it prints.
function compat.output_of(command)
  local pipe = assert(io.popen(command))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

--- The path of something that has been built beside wrenn-local's folder.
function compat.built(path)
  local program = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"
  return (program:gsub("local/wrenn%-local$", "")) .. path
end

return compat
