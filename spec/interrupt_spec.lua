-- Ctrl-C at any moment, and programs that end while something is left to tidy
-- up: no capsule and no command stays behind.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local PROLOGUE = [[
  local wrenn = require("wrenn")
  local task, check, Capsule = wrenn.task, wrenn.check, wrenn.Capsule
  local function create() return check(Capsule.create({ wait = true })) end
  local function say() io.stdout:write("used\n") io.stdout:flush() end
  local function use(c) say() check(c.commands:run("sleep 30")) end
  local items = { 1, 2, 3, 4, 5, 6, 7, 8 }
]]

local programs = {
  map = [[
    check(task.map(items, function() wrenn.with(create(), use) end))
  ]],
  run = [[
    task.run(function()
      for _ in ipairs(items) do
        task.spawn(function() wrenn.with(create(), use) end)
      end
    end)
  ]],
  gather = [[
    task.run(function()
      check(task.gather({
        function() wrenn.with(create(), use) end,
        function() wrenn.with(create(), function(c)
          say()
          check(c.commands:stream("sleep 30")):wait()
        end) end,
      }))
    end)
  ]],
  main = [[ wrenn.with(create(), use) ]],
}
if compat.has_close then
  programs.close = [[
    task.run(function()
      for _ in ipairs(items) do
        task.spawn(function()
          local c <close> = create()
          use(c)
        end)
      end
    end)
  ]]
end

local function write(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

-- When the programs are interrupted, in hundredths of a second. Once: lua
-- cannot bear a second time.
local MOMENTS = { 3, 7, 10, 14, 19, 25, 32, 40, 60, 100 }

local function at_moments(path)
  local lines = {}
  for i, moment in ipairs(MOMENTS) do
    lines[i] = ("timeout --foreground -s INT -k 30 %d.%02d %s %s 2>&1;"
      .. " echo status $?"):format(math.floor(moment / 100), moment % 100,
      compat.lua, path)
  end
  return table.concat(lines, "; "), #MOMENTS, 124
end

-- Ctrl-C after so many instructions of LuaJIT, which raises wherever that is.
local AT = [[
  local ffi = require("ffi")
  ffi.cdef("int raise(int);")
  check(Capsule.list())
  debug.sethook(function()
    debug.sethook()
    ffi.C.raise(2)
  end, "", tonumber(arg[1]))
  %s
]]

local function at_instructions(path)
  local lines = {}
  for at = 3000, 28000, 2000 do
    lines[#lines + 1] = ("timeout -k 30 30 %s -joff %s %d 2>&1;"
      .. " echo status $?"):format(compat.lua, path, at)
  end
  return table.concat(lines, "; "), #lines, 1
end

describe("Ctrl-C", function()
  local function leaves_nothing(text, way)
    local s = server.start("--isolation none")
    finally(function() s:stop() end)
    local path = write(PROLOGUE .. text)
    local lines, count, status = way(path)
    local begin = core.now()
    local output = compat.output_of(("export WRENN_BASE_URL=%s"
      .. " WRENN_API_KEY=%s; { %s; }"):format(s.url, s.key, lines))
    os.remove(path)
    assert.is_true(core.now() - begin < 250) -- each that hangs has a time of 30
    local _, ends = output:gsub("status " .. status .. "\n", "")
    assert.are.equal(count, ends, output)
    assert.is_nil(output:find("lua/wrenn/task[%w_/]*%.lua:%d+: attempt"),
      output)
    expect.soon(function()
      return #assert(wrenn.Capsule.list(s:options())) == 0
    end)
  end

  for name, text in pairs(programs) do
    it("leaves no capsule behind: " .. name, function()
      leaves_nothing(text, at_moments)
    end)
  end

  if jit then
    it("leaves none after any instruction", function()
      leaves_nothing(AT:format(programs.map), at_instructions)
    end)
  end
end)

describe("a program that ends at once", function()
  -- Runs a program that connects to a peer. Returns its output and the seconds.
  local function run(p, text)
    local path = write(PROLOGUE .. text)
    local begin = core.now()
    local output = compat.output_of(("WRENN_BASE_URL=%s WRENN_API_KEY=k"
      .. " timeout 60 %s %s 2>&1; echo status $?"):format(p.url, compat.lua,
      path))
    os.remove(path)
    return output, core.now() - begin
  end

  it("after a broken off creation destroys the capsule", function()
    local p = peer.start([[
      while true do
        local req = c:request()
        if not req then return end
        if req.method == "POST" then c:sleep(5) end
        c:respond(200, '{"id":"cl-1","status":"running"}')
      end
    ]])
    finally(function() p:stop() end)
    local output = run(p, [[
      local client = check(wrenn.Client())
      local _, err = task.with_timeout(3, function()
        return Capsule.create({ client = client })
      end)
      client:close()
      print(err.type)
    ]])
    assert.are.equal("TimeoutError\nstatus 0\n", output)
    local requests = p:received()
    assert.are.equal("DELETE /v1/capsules/cl-1",
      requests[#requests]:match("^%S+ %S+"))
  end)

  it("after a limit kills the command", function()
    local s = server.start("--isolation none")
    finally(function() s:stop() end)
    local capsule =
      assert(wrenn.Capsule.create(s:options({ wait = true })))
    local path = write(PROLOGUE .. ([[
      local c = check(Capsule.connect(%q))
      local _, err = task.with_timeout(0.3, function() return use(c) end)
    ]]):format(capsule.id))
    compat.output_of(("WRENN_BASE_URL=%s WRENN_API_KEY=%s timeout 60 %s %s")
      :format(s.url, s.key, compat.lua, path))
    os.remove(path)
    expect.soon(function()
      return #assert(capsule.commands:list()) == 0
    end)
  end)

  -- Older versions of LuaJIT are caught there in a loop that they have compiled.
  it("goes through tables of other kinds than before", function()
    assert.are.equal("3\nstatus 0\n", (run({ url = "http://127.0.0.1:1" }, [[
      local function count(list)
        local number = 0
        for _ in pairs(list) do number = number + 1 end
        return number
      end
      local names = {}
      for i = 1, 100 do names["k" .. i] = i end
      for _ = 1, 300 do count(names) end
      task.sleep(0.01)
      task.tidy(function()
        task.sleep(0.01)
        print(count({ [{}] = "x", [{ 1 }] = "y", [{ 2 }] = "z" }))
      end)
    ]])))
  end)

  it("does not wait long for a server that says nothing", function()
    local p = peer.start([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path:find("/exec$") or req.path:find("/processes$") then
          return c:sleep(60)
        end
        c:respond(200, '{"id":"cl-1","status":"running"}')
      end
    ]])
    finally(function() p:stop() end)
    local output, took = run(p, [[
      local c = check(Capsule.connect("cl-1"))
      c.client.settings.on_event = function(event)
        if event.type == "cleanup" then
          print(event.what, event.error.type)
        end
      end
      local core = require("wrenn.core")
      local delayed = require("spec.hosts.figures").delayed
      local begin = core.now() - delayed()
      local _, err = task.with_timeout(0.3, function()
        return c.commands:run("x")
      end)
      print(err.type, core.now() - delayed() - begin < 5)
    ]])
    assert.is_true(took < 30, took)
    assert.are.equal("TimeoutError\ttrue\nkill a command\tTimeoutError\n"
      .. "status 0\n", output)
  end)
end)
