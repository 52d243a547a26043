-- The examples for hosts do what their comments say.

local host = require("spec.support.host")
local server = require("spec.support.server")
local wrenn = require("wrenn")

describe("the example", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  local function nothing_is_left()
    for _, info in ipairs(assert(wrenn.Capsule.list(s:options()))) do
      assert.are.equal("stopping", info.status)
    end
  end

  it("fanout.lua runs a matrix and says what failed", function()
    local figures = host.run(s, "", host.lua .. " examples/fanout.lua 6 5")
    local text = figures.text
    assert.is_truthy(text:find("- suite 3\n", 1, true), text)
    assert.is_truthy(text:find("! suite 5\n", 1, true), text)
    assert.is_truthy(text:find("suite 3: exit code 1\nsuite 3\nstep 1", 1,
      true), text)
    assert.is_truthy(text:find("suite 5: TimeoutError: [^\n]*\nsuite 5\n"),
      text)
    assert.is_truthy(text:find("\n4 of 6 passed\n", 1, true), text)
    assert.are.equal(1, figures.exit)
    nothing_is_left()
  end)

  -- While it waits for the suite that hangs: LuaJIT interrupts whatever runs,
  -- and that may be half-way through making a capsule.
  it("fanout.lua leaves nothing when it is interrupted", function()
    local figures = host.run(s, "", ([[sh -c '
      %s examples/fanout.lua 5 60 >$0 2>&1 &
      while [ $(grep -c suite $0) -lt 4 ] && kill -0 $!; do sleep 0.1; done
      sleep 0.5; kill -INT $!; wait $!; echo status $?
      cat $0; rm $0' $(mktemp)]]):format(host.lua))
    assert.are.equal(1, figures.status, figures.text)
    assert.is_truthy(figures.text:find("interrupted!", 1, true), figures.text)
    nothing_is_left()
  end)

  -- Plays so many frames. Returns what it says, and the milliseconds for which
  -- it had no processor.
  local function play(frames)
    local figures = host.run(s, "", host.lua .. ([[ -e '
      arg = { "%d" }
      dofile("examples/game_loop.lua")
      print("delayed_ms " .. require("spec.hosts.figures").delayed() * 1000)']])
      :format(frames))
    return figures.text, figures.delayed_ms or 0
  end

  -- No frame waits for the capsule, which pauses for 200 ms between its lines.
  it("game_loop.lua keeps its frames while a capsule works", function()
    local text, delayed = play(180)
    local ends = "score 500, and the capsule is gone"
    if not text:find(ends, 1, true) then -- on a busy machine
      text, delayed = play(1800)
    end
    assert.is_truthy(text:find(ends, 1, true), text)
    local half, longest =
      text:match("less than ([%d.]+) ms, the longest ([%d.]+)")
    assert.is_true(tonumber(half) < 5, text)
    assert.is_true(tonumber(longest) < 190 + delayed, text)
    nothing_is_left()
    host.run(s, "", host.lua .. " examples/game_loop.lua 2") -- ends too early
    nothing_is_left()
  end)
end)
