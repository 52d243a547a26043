-- A locale with a decimal comma, set at any time, does not affect what is sent or
-- received.

local compat = require("spec.support.compat")
local peer = require("spec.support.peer")

describe("a locale with a decimal comma", function()
  local dir

  -- The C library looks for it once, where the environment says: in a process
  -- of its own.
  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(os.execute("mkdir " .. dir .. " && localedef -i de_DE -f UTF-8 "
      .. dir .. "/de_DE.UTF-8 >/dev/null 2>&1"))
  end)

  teardown(function()
    os.execute("rm -rf " .. dir)
  end)

  local code = [[
    local json, core = require("wrenn.wire.json"), require("wrenn.core")
    local function look()
      local decoded = json.decode('{"a":0.25,"b":[1.5e1,-3],"c":1e-2}')
      io.write(json.encode({ 0.5 }), " ", decoded.a * 100, " ",
        decoded.b[1] == 15 and "15" or "other", " ", decoded.c * 100, "\n")
    end
    look()
    assert(os.setlocale("de_DE.UTF-8"), "no such locale")
    -- LuaJIT formats numbers by itself.
    assert(rawget(_G, "jit") or ("%.1f"):format(0.5) == "0,5", "no comma")
    look()
    local loop = core.loop()
    local op = loop:http({ url = "%s", total = 0.25 })
    repeat
      loop:wait(1)
      local id, kind, code, message = loop:next()
      if id then print(kind, code, message) end
    until id
    os.setlocale("C")
    look()
  ]]

  it("is none for JSON and for what limits say", function()
    local p = peer.start("c:request() c:sleep(9)")
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write((code:gsub("%%s", p.url)))
    file:close()
    local text = compat.output_of(("LOCPATH=%s %s %s 2>&1"):format(dir,
      compat.lua, path))
    os.remove(path)
    p:stop()
    local line = "^%[0%.5%] 25[.,]?0? 15 1[.,]?0?$"
    local lines = {}
    for each in text:gmatch("[^\n]+") do
      lines[#lines + 1] = each
    end
    assert.are.equal(4, #lines, text)
    for _, i in ipairs({ 1, 2, 4 }) do
      assert.is_truthy(lines[i]:find(line), text)
    end
    assert.are.equal("failed\ttimeout\tnot finished within 0.25 s", lines[3])
  end)
end)
