-- A fuzzer for the parsers that are written in Lua:
--   lua5.4 spec/fuzz/main.lua TARGET SECONDS FOUND-DIR [FILE...]
-- runs a target (spec/fuzz/TARGET.lua) on mutations of its corpus. An input
-- that executes a line after another as none did before joins the corpus. Ends
-- with "N runs"; an input that fails is written to the directory. With files,
-- runs these alone.

local name, seconds, found = arg[1], tonumber(arg[2]), arg[3]
local target = require("spec.fuzz." .. name)
local FOLDER = "spec/fuzz/corpus/" .. name
local LIMIT = 5 -- seconds of processor time for one input
local MOST = target.most or 1024 -- bytes of one input

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

-- ---- running ----------------------------------------------------------------

local edges = {}

-- Runs the target; returns whether it went where it had not been, or raises.
local function run(input)
  local new, before, deadline = false, 0, os.clock() + LIMIT
  local lines = 0
  debug.sethook(function(_, line)
    lines = lines + 1
    if lines % 4096 == 0 and os.clock() > deadline then
      error("it takes more than " .. LIMIT .. " s")
    end
    local edge = before * 8192 + line
    if not edges[edge] then
      edges[edge], new = true, true
    end
    before = line
  end, "l")
  local ok, why = xpcall(target.run, debug.traceback, input)
  debug.sethook()
  if not ok then
    error(why, 0)
  end
  return new
end

local function report(input, why)
  local path = ("%s/%s-%d"):format(found, name, os.time())
  local file = assert(io.open(path, "wb"))
  file:write(input)
  file:close()
  io.stderr:write(("%s: %s\n"):format(path, why))
  os.exit(1)
end

-- ---- mutations --------------------------------------------------------------

local random = math.random
local corpus = {}

local function place(input)
  return random(0, #input)
end

local function piece(input)
  local from = random(1, #input + 1)
  return input:sub(from, from + random(0, 64))
end

local mutations = {
  function(input) -- another byte
    local at = place(input)
    return input:sub(1, at) .. string.char(random(0, 255)) .. input:sub(at + 2)
  end,
  function(input) -- a bit
    local at = random(1, math.max(#input, 1))
    local byte, bit = input:byte(at) or 0, 2 ^ random(0, 7)
    local is_set = math.floor(byte / bit) % 2 == 1
    return input:sub(1, at - 1) .. string.char(is_set and byte - bit
      or byte + bit) .. input:sub(at + 1)
  end,
  function(input) -- less
    local from = place(input)
    return input:sub(1, from) .. input:sub(from + random(1, 32))
  end,
  function(input) -- a word
    local at = place(input)
    return input:sub(1, at) .. target.words[random(#target.words)]
      .. input:sub(at + 1 + random(0, 3))
  end,
  function(input) -- something twice
    local at = place(input)
    return input:sub(1, at) .. piece(input) .. input:sub(at + 1)
  end,
  function(input) -- something of another
    local at = place(input)
    return input:sub(1, at) .. piece(corpus[random(#corpus)])
      .. input:sub(at + 1)
  end,
  function(input) -- the end of another
    local other = corpus[random(#corpus)]
    return input:sub(1, place(input)) .. other:sub(place(other) + 1)
  end,
  function(input) -- a part
    return input:sub(1, place(input))
  end,
}

-- ---- all of it --------------------------------------------------------------

if arg[4] then
  for i = 4, #arg do
    run(read(arg[i]))
  end
  return
end

for path in io.popen("ls " .. FOLDER .. "/*"):lines() do
  corpus[#corpus + 1] = read(path)
end
for _, input in ipairs(corpus) do
  local ok, why = pcall(run, input)
  if not ok then
    report(input, why)
  end
end

math.randomseed(os.time())
local runs, deadline = #corpus, os.time() + seconds
while os.time() < deadline do
  for _ = 1, 100 do
    local input = corpus[random(#corpus)]
    for _ = 1, random(1, 6) do
      input = mutations[random(#mutations)](input)
    end
    if target.fix and random(4) > 1 then
      input = target.fix(input)
    end
    input = input:sub(1, MOST)
    local ok, new = pcall(run, input)
    if not ok then
      report(input, new)
    end
    if new and #corpus < 4096 then
      corpus[#corpus + 1] = input
    end
    runs = runs + 1
  end
end
print(("%d runs, %d inputs"):format(runs, #corpus))
