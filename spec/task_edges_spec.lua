-- Edge cases of tasks: nested runs, calls where nothing can yield, coroutines
-- that are closed.

local core = require("wrenn.core")
local scheduler = require("wrenn.task.scheduler")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local task = wrenn.task

local function sleeper()
  wrenn.check(task.sleep(60))
end

local function fail_late()
  task.sleep(0.05)
  error("late", 0)
end

describe("a run", function()
  it("does not fail with a task that was cancelled and says so", function()
    assert.are.equal("fine", task.run(function()
      local one = task.spawn(sleeper)
      task.sleep(0.01)
      one:cancel()
      task.sleep(0.01)
      return "fine"
    end))
  end)

  it("hands what it leaves behind to the run around it", function()
    local ok, err = pcall(task.run, function()
      local inner = task.spawn(task.run, function()
        task.spawn(fail_late)
        task.sleep(10)
      end)
      task.sleep(0.01)
      inner:cancel()
      assert.are.equal("CancelledError", select(2, inner:wait()).type)
    end)
    assert.is_false(ok)
    assert.are.equal("late", err.message)
  end)

  it("hands on what had failed before as well", function()
    local ok, err = pcall(task.run, function()
      task.with_timeout(0.1, function()
        return task.run(function()
          task.spawn(fail_late)
          task.sleep(10)
        end)
      end)
    end)
    assert.is_false(ok)
    assert.are.equal("late", err.message)
  end)

  it("has what a generator in it spawns", function()
    local ok, err = pcall(task.run, function()
      local spawned = coroutine.wrap(function()
        coroutine.yield(task.spawn(fail_late))
      end)()
      assert.is_true(spawned.is_task)
    end)
    assert.is_false(ok)
    assert.are.equal("late", err.message)
  end)

  it("in a generator ends with its task", function()
    local begin = core.now()
    task.run(function()
      local one
      one = task.spawn(function()
        task.spawn(function()
          task.sleep(0.05)
          one:cancel()
        end)
        return coroutine.wrap(function()
          return task.with_timeout(30, sleeper)
        end)()
      end)
      assert.are.equal("CancelledError", select(2, one:wait()).type)
    end)
    assert.is_true(core.now() - begin < 20)
  end)
end)

describe("misuse", function()
  it("a task that waits for itself is told", function()
    local ok, err = pcall(task.run, function()
      local one
      one = task.spawn(function()
        return one:wait()
      end)
    end)
    assert.is_false(ok)
    assert.is_truthy(err.message:find("cannot wait for itself", 1, true))
  end)

  it("a hole among the functions to gather is named", function()
    local ok, err = pcall(task.gather, { print, nil, print })
    assert.is_false(ok)
    assert.is_truthy(err:find("fns[2]", 1, true))
  end)
end)

if coroutine.isyieldable then -- luacheck: ignore 143 (PUC 5.1 cannot tell)
  describe("where nothing can yield", function()
    it("calls in a task wait in place", function()
      task.run(function()
        local ticks = 0
        local beside = task.spawn(function()
          while task.sleep(0.005) do
            ticks = ticks + 1
          end
        end)
        assert.are.equal("ab!", (("ab"):gsub("b", function(letter)
          local deadline = core.now() + 20
          repeat
            assert(task.sleep(0.01))
          until ticks >= 3 or core.now() > deadline
          return letter .. "!"
        end)))
        beside:cancel() -- a run that fails would wait for it
        assert.is_true(ticks >= 3)
      end)
    end)

    it("limits hold", function()
      local err
      task.run(task.with_timeout, 0.05, function()
        local _ = ("a"):gsub("a", function()
          err = select(2, task.sleep(10))
        end)
      end)
      assert.are.equal("TimeoutError", err.type)
    end)
  end)
end

if not coroutine.isyieldable then -- luacheck: ignore 143
  describe("where nothing can yield", function()
    it("a call raises, and leaves nobody waiting", function()
      task.run(function()
        assert.is_false((pcall(string.gsub, "a", "a", function()
          task.sleep(0.01)
        end)))
        task.sleep(0.02)
      end)
      assert.is_false(scheduler.is_busy())
    end)
  end)
end

if coroutine.close then -- 5.4 has it
  describe("a coroutine that is closed while it waits", function()
    it("is no failure of the run's", function()
      assert.are.equal("fine", task.run(function()
        local co
        task.spawn(function()
          co = coroutine.running()
          sleeper()
        end)
        task.sleep(0.01)
        assert(coroutine.close(co))
        return "fine"
      end))
    end)
  end)

  describe("a capsule's coroutine that is closed while it waits", function()
    -- Runs `fn` in a task whose coroutine is closed once a command runs.
    local function close_inside(capsule, fn)
      return task.run(function()
        local co
        local one = task.spawn(function()
          co = coroutine.running()
          return fn()
        end)
        repeat
          task.sleep(0.01)
        until #assert(capsule.commands:list()) > 0
        assert(coroutine.close(co))
        return one:wait()
      end)
    end

    local s, capsule

    before_each(function()
      s = server.start()
      capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    end)

    after_each(function()
      s:stop()
    end)

    local function is_over(_, err)
      assert.are.equal("CancelledError", err.type)
    end

    it("is over at once, and so is the command", function()
      local begin = core.now()
      is_over(close_inside(capsule, function()
        return capsule.commands:run("sleep 60")
      end))
      repeat
        task.sleep(0.01)
        assert.is_true(core.now() - begin < 30)
      until #assert(capsule.commands:list()) == 0
    end)

    it("gives its capsule back", function()
      local own = assert(wrenn.Capsule.create(s:options({ wait = true })))
      local hold = assert(load([[
        local own = ...
        local capsule <close> = own
        return capsule.commands:run("sleep 60")
      ]]))
      is_over(close_inside(own, function()
        return hold(own)
      end))
      local begin = core.now()
      repeat
        task.sleep(0.01)
        assert.is_true(core.now() - begin < 30)
        local list = assert(wrenn.Capsule.list(s:options()))
      until #list == 1
      assert.are.equal(capsule.id, wrenn.Capsule.list(s:options())[1].id)
    end)
  end)
end
