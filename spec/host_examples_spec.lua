-- The examples do what their comments say.
-- Not sanitized: they are programs in Lua, and what they call is.

local compat = require("spec.support.compat")
local host = require("spec.support.host")
local least = require("spec.hosts.figures").least
local server = require("spec.support.server")
local wrenn = require("wrenn")

describe("the example", function()
  local s, folder

  setup(function()
    s = server.start()
    folder = compat.output_of("mktemp -d"):match("[^\n]+")
  end)

  teardown(function()
    s:stop()
    os.execute("rm -r " .. folder)
  end)

  local function nothing_is_left()
    for _, info in ipairs(assert(wrenn.Capsule.list(s:options()))) do
      assert.are.equal("stopping", info.status)
    end
  end

  it("fanout.lua runs a matrix and says what failed", function()
    local figures = host.run(s, "", host.lua .. " examples/fanout.lua 6 15")
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

  it("ci.lua runs a matrix and collects its reports", function()
    local figures = host.run(s, "", host.lua .. " examples/ci.lua " .. folder)
    assert.are.equal(1, figures.exit, figures.text)
    for _, line in ipairs({ "passed\tbash-C\t\n", "passed\tbash-C.UTF-8\t\n",
      "FAILED\tsh-C\t\n", "FAILED\tsh-C.UTF-8\t\n", "2 of 4 passed\n" })
    do
      assert.is_truthy(figures.text:find(line, 1, true), figures.text)
    end
    assert.are.equal("<testsuite name='bash C' tests='2' failures='0'>"
      .. "<testcase name='test_lists.sh'/><testcase name='test_words.sh'/>"
      .. "</testsuite>\n", host.read_file(folder .. "/junit-bash-C.xml"))
    assert.is_truthy(host.read_file(folder .. "/junit-sh-C.UTF-8.xml")
      :find("<testcase name='test_lists.sh'><failure>.+</failure>"))
    nothing_is_left()
  end)

  -- They are interrupted as they begin, create, work and destroy.
  it("ci.lua leaves nothing, whenever it is interrupted", function()
    local figures = host.run(s, "", ([[sh -c '
      for after in 0.1 0.3 0.5 0.7 0.9 1.2 1.6 2; do
        timeout --foreground -s INT $after %s examples/ci.lua %s \
          >$0.$after 2>&1 &
      done
      wait; cat $0.*' %s/said]]):format(host.lua, folder, folder))
    assert.is_truthy(figures.text:find("interrupted!", 1, true), figures.text)
    nothing_is_left()
  end)

  it("agent.lua lets its model use the tools until it has an answer", function()
    local figures = host.run(s, "", host.lua .. " examples/agent.lua")
    local text = figures.text
    assert.are.equal(0, figures.exit, text)
    assert.is_truthy(text:find("> write median.py\n.*AssertionError.*"
      .. "exit code 1%]\n> write median.py\n.*> run .*exit code 0%]\n"
      .. "median.py is right"), text)
    nothing_is_left()
  end)

  it("notebook.lua runs its cells and writes their plots", function()
    local figures = host.run(s, "", host.lua
      .. " examples/notebook.lua examples/notebook.py " .. folder)
    local text = figures.text
    assert.are.equal(0, figures.exit, text)
    assert.is_truthy(text:find("160 values from %-0.54 to 0.82\n"
      .. "== A drawing\n.*plot%-1.svg\n== A picture\n.*plot%-2.png\n"
      .. "== A value\n[%d.]+\n"), text)
    assert.is_truthy(host.read_file(folder .. "/plot-1.svg")
      :find("^<svg.*</svg>$"))
    assert.is_truthy(host.read_file(folder .. "/plot-2.png")
      :find("^\137PNG\r\n.*IEND"))
    nothing_is_left()
  end)

  it("code.lua does what it says", function()
    local figures = host.run(s, "", host.lua .. " examples/code.lua")
    assert.are.equal(0, figures.exit, figures.text)
    assert.is_truthy(figures.text:find("the area is 12.56.*line 2\n"
      .. "ZeroDivisionError: .*Timeout: .*Hello from a capsule!\n"),
      figures.text)
    nothing_is_left()
  end)

  -- Plays so many frames. Returns the milliseconds that the longest update took,
  -- without those for which it had no processor, what half of them took, and what
  -- the game says.
  local function play(frames)
    local figures = host.run(s, "", host.lua .. ([[ -e '
      local core, wrenn = require("wrenn.core"), require("wrenn")
      local delayed = require("spec.hosts.figures").delayed
      local update, longest = wrenn.update, 0
      function wrenn.update()
        local begin = core.now() - delayed()
        update()
        longest = math.max(longest, core.now() - delayed() - begin)
      end
      arg = { "%d" }
      dofile("examples/game_loop.lua")
      print("longest_ms " .. longest * 1000)']]):format(frames))
    local half = figures.text:match("less than ([%d.]+) ms, the longest %d")
    assert.is_truthy(half, figures.text)
    return figures.longest_ms, tonumber(half), figures.text
  end

  -- No frame waits for the capsule, which pauses for 200 ms between its lines.
  it("game_loop.lua keeps its frames while a capsule works", function()
    local frames, ends = 180, "score 500, and the capsule is gone"
    local longest, half, text = least(3, 190, function()
      local took, middle, said = play(frames)
      if said:find(ends, 1, true) then
        return took, middle, said
      end
      frames = 1800 -- on a busy machine
      return play(frames)
    end)
    assert.is_truthy(text:find(ends, 1, true), text)
    assert.is_true(half < 5, text)
    assert.is_true(longest < 190, text)
    nothing_is_left()
    host.run(s, "", host.lua .. " examples/game_loop.lua 2") -- ends too early
    nothing_is_left()
  end)
end)
