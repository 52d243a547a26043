-- Tasks: concurrency in one thread, cancellation, time limits, and errors, none
-- of which is lost.

local core = require("wrenn.core")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local nested = require("wrenn.task.nested")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local task = wrenn.task

local function seconds(fn)
  local begin = core.now()
  fn()
  return core.now() - begin
end

describe("a task", function()
  it("returns what its function returns", function()
    assert.are.same({ 1, nil, 3 }, { task.run(function(a, b, c)
      return a, b, c
    end, 1, nil, 3) })
  end)

  it("sleeps beside others", function()
    local took = seconds(function()
      task.run(function()
        local tasks = {}
        for i = 1, 20 do
          tasks[i] = task.spawn(function()
            assert(task.sleep(0.5))
            return i
          end)
        end
        for i = 1, 20 do
          assert.are.equal(i, tasks[i]:wait())
        end
      end)
    end)
    assert.is_true(took >= 0.5 and took < 8) -- 10 s one after the other
  end)

  it("blocks outside of tasks", function()
    assert.is_true(seconds(function()
      assert.is_true(task.sleep(0.05))
    end) >= 0.05)
  end)

  it("is waited for by the run it was spawned in", function()
    local done = false
    task.run(function()
      task.spawn(function()
        task.sleep(0.05)
        done = true
      end)
    end)
    assert.is_true(done)
  end)

  it("hands a raised error to who waits for it", function()
    local result, err = task.run(function()
      local failing = task.spawn(function()
        error("oops", 0)
      end)
      return failing:wait()
    end)
    assert.is_nil(result)
    assert.is_true(err:is("WrennError"))
    assert.are.equal("oops", err.message)
    assert.is_truthy(err.details.traceback)
  end)

  it("loses no error: the run raises what nobody waited for", function()
    local ok, err = pcall(task.run, function()
      task.spawn(error, "unseen", 0)
      return "fine"
    end)
    assert.is_false(ok)
    assert.are.equal("unseen", err.message)
  end)

  it("raises out of the run what its function raised", function()
    local mine = wrenn.errors.new("CommandError", "mine")
    local ok, err = pcall(task.run, error, mine)
    assert.is_false(ok)
    assert.are.equal(mine, err)
  end)

  it("is cancelled where it waits", function()
    task.run(function()
      local later
      local sleeping = task.spawn(function()
        local ok, err = task.sleep(10)
        later = { task.sleep(10) }
        return ok, err
      end)
      task.sleep(0.02)
      sleeping:cancel()
      local ok, err = sleeping:wait()
      assert.is_nil(ok)
      assert.is_true(err:is("CancelledError"))
      assert.is_true(later[2]:is("CancelledError"))
      sleeping:cancel()
    end)
  end)

  it("ends with its limit, the nearest of several", function()
    local took = seconds(function()
      local ok, err = task.with_timeout(30, function()
        return task.with_timeout(0.05, function()
          return task.sleep(60)
        end)
      end)
      assert.is_nil(ok)
      assert.is_true(err:is("TimeoutError"))
      ok, err = task.with_timeout(0.05, function()
        return task.with_timeout(30, function()
          return task.sleep(60)
        end)
      end)
      assert.is_nil(ok)
      assert.is_true(err:is("TimeoutError"))
    end)
    assert.is_true(took < 20)
  end)

  it("ends with a limit that has passed while it computed", function()
    local p = peer.sockets([[
      c:text('{"type":"start","pid":5}')
      c:sleep(0.1)
      c:text('{"type":"stdout","data":"late"}')
      log("said")
      c:read_frame()
    ]])
    finally(function() p:stop() end)
    local stream = assert(p:capsule().commands:stream("x"))
    assert.are.equal("start", assert(stream:read()).type)
    local function read_late()
      return task.with_timeout(0.02, function()
        local back = core.now() + 0.05
        repeat -- the loop takes no step, as in a program that computes
          local list = p:received()
        until list[#list] == "said" and core.now() > back
        return stream:read()
      end)
    end
    for _, run in ipairs({ read_late, function()
      return task.run(read_late)
    end }) do
      local event, err = run()
      assert.is_nil(event)
      assert.is_true(err:is("TimeoutError"))
    end
    assert.are.equal("late", assert(stream:read()).data)
    stream:close()
  end)

  it("outlives a limit that it kept", function()
    assert.are.same({ "in time", "and after" }, { task.run(function()
      local first = task.with_timeout(0.05, function()
        return "in time"
      end)
      task.sleep(0.1)
      return first, "and after"
    end) })
  end)

  it("may run coroutines of the user's", function()
    local p = peer.answering({ 200, "[]" })
    local client = assert(wrenn.Client(p:options()))
    task.run(function()
      local ticks = 0
      local ticking = task.spawn(function()
        while true do
          local ok = task.sleep(0.01)
          if not ok then
            return
          end
          ticks = ticks + 1
        end
      end)
      local generate = coroutine.wrap(function()
        for i = 1, 3 do
          assert(client.capsules:list())
          task.sleep(0.03)
          coroutine.yield(i)
        end
      end)
      assert.are.same({ 1, 2, 3 }, { generate(), generate(), generate() })
      assert.is_true(ticks >= 3)
      ticking:cancel()
    end)
    p:stop()
  end)

  it("may be run inside a task", function()
    assert.are.equal("inner", task.run(function()
      return task.run(function()
        task.sleep(0.01)
        return "inner"
      end)
    end))
  end)

  it("moves with wrenn.update, which raises what nobody waits for", function()
    local count = 0
    local ticking = task.spawn(function()
      for _ = 1, 3 do
        task.sleep(0.01)
        count = count + 1
      end
    end)
    local deadline = core.now() + 20
    repeat
      wrenn.update()
    until count == 3 or core.now() > deadline
    assert.are.equal(3, count)
    ticking:wait()
    task.spawn(error, "lost in the loop", 0)
    assert.has_error(function()
      for _ = 1, 10 do
        wrenn.update()
      end
    end)
  end)
end)

describe("a task in a game", function()
  -- Moves the game on until the task is over; `held` holds the coroutines that
  -- wait for something of the game's.
  local function play(one, held)
    for _ = 1, 200 do
      collectgarbage()
      wrenn.update()
      local co = table.remove(held)
      if co then
        assert(coroutine.resume(co))
      end
      if one.done then
        return one:wait()
      end
      os.execute("sleep 0.002")
    end
    return nil, "it never ended"
  end

  it("may wait for something of the game's, inside of anything", function()
    local held = {}
    local function wait()
      held[1] = coroutine.running()
      coroutine.yield()
    end
    local closed
    local resource = setmetatable({}, {
      __close = function() closed = true end,
    })
    assert.are.equal("over", play(task.spawn(function()
      wrenn.with(resource, function()
        wait()
        task.sleep(0.001)
        wait()
      end)
      task.with_timeout(60, wait)
      task.sleep(0.001)
      wait()
      return "over"
    end), held))
    assert.is_true(closed)
  end)
end)

describe("limits", function()
  it("end what gather runs, and not what was spawned beside", function()
    task.run(function()
      local inner, beside
      local _, err = task.with_timeout(0.05, function()
        beside = task.spawn(task.sleep, 0.1)
        return task.gather({ function()
          local ok, why = task.sleep(10)
          inner = why.type
          return ok, why
        end })
      end)
      assert.are.equal("TimeoutError", err.type)
      assert.are.equal("CancelledError", inner)
      assert.is_true(beside:wait())
    end)
  end)

  it("that were left by an error are over", function()
    task.run(function()
      local ok = wrenn.task.spawn(function()
        task.with_timeout(0.02, error)
      end):wait()
      assert.is_nil(ok)
      local raised, err = nested.call(function()
        task.with_timeout(0.02, function()
          error("out", 0)
        end)
      end)
      assert.is_false(raised)
      assert.are.equal("out", err)
      assert.is_true(task.sleep(0.05))
    end)
  end)

  it("inside a shield count, those around it do not", function()
    task.run(function()
      local ok, inner = task.with_timeout(0.02, function()
        return task.shield(function()
          local slept = task.sleep(0.05)
          local _, err = task.with_timeout(0.02, function()
            return task.sleep(10)
          end)
          return slept, err.type
        end)
      end)
      assert.is_true(ok)
      assert.are.equal("TimeoutError", inner)
    end)
  end)
end)

describe("generators", function()
  it("made with task.wrap wait as their callers", function()
    task.run(function()
      local ticks = 0
      local ticking = task.spawn(function()
        while task.sleep(0.005) do
          ticks = ticks + 1
        end
      end)
      local generate = task.wrap(function(first)
        for i = first, first + 2 do
          task.sleep(0.03)
          coroutine.yield(i)
        end
      end)
      assert.are.same({ 5, 6, 7 }, { generate(5), generate(), generate() })
      assert.is_true(ticks >= 3)
      ticking:cancel()
    end)
  end)
end)

describe("tasks that wait for each other", function()
  it("are told that nothing is left to wait for", function()
    local ok, err = pcall(task.run, function()
      local second
      local first = task.spawn(function()
        return second:wait()
      end)
      second = task.spawn(function()
        return first:wait()
      end)
      return first:wait()
    end)
    -- nil, err of the run; or raised where it is the result of a task
    assert.is_true(ok)
    assert.is_nil(err)
  end)
end)

describe("gather and map", function()
  it("keep the order of the list", function()
    assert.are.same({ 30, 10, 20 }, task.map({ 3, 1, 2 }, function(item, i)
      task.sleep(0.03 / i)
      return item * 10
    end))
    assert.are.same({ "a", "b" }, task.gather({
      function() task.sleep(0.02) return "a" end,
      function() return "b" end,
    }))
    assert.are.same({}, task.map({}, error))
  end)

  it("take a thousand items", function()
    local items = {}
    for i = 1, 1000 do
      items[i] = i
    end
    local now, most = 0, 0
    local out = assert(task.map(items, function(item)
      now = now + 1
      most = math.max(most, now)
      task.sleep(0.001)
      now = now - 1
      return item * 2
    end, { concurrency = 64 }))
    assert.are.equal(64, most)
    assert.are.equal(1000, #out)
    assert.are.equal(2000, out[1000])
  end)

  it("do no more at once than they may", function()
    local now, most = 0, 0
    task.map({ 1, 2, 3, 4, 5, 6, 7 }, function()
      now = now + 1
      most = math.max(most, now)
      task.sleep(0.01)
      now = now - 1
      return true
    end, { concurrency = 3 })
    assert.are.equal(3, most)
  end)

  it("end with the first failure, and cancel the rest", function()
    for _, fail in ipairs({
      function() error("raised", 0) end,
      function() return nil, wrenn.errors.new("WrennError", "raised") end,
    }) do
      local cancelled
      local took = seconds(function()
        local results, err = task.gather({
          function()
            local ok, why = task.sleep(60)
            cancelled = not ok and why.type
            return ok, why
          end,
          function()
            task.sleep(0.02)
            return fail()
          end,
        })
        assert.is_nil(results)
        assert.are.equal("raised", err.message)
      end)
      assert.are.equal("CancelledError", cancelled)
      assert.is_true(took < 30) -- of 60
    end
  end)

  it("end what they run when Ctrl-C raises where they wait", function()
    local resume, started, tidied = coroutine.resume, 0, 0
    local raised = false
    finally(function()
      rawset(coroutine, "resume", resume)
    end)
    rawset(coroutine, "resume", function(...) -- in the middle of the scheduler
      if started == 3 and not raised then
        raised = true
        error("interrupted!")
      end
      return resume(...)
    end)
    local begun = core.now()
    local ok, err = pcall(task.map, { 1, 2, 3 }, function()
      started = started + 1
      task.sleep(0.05)
      task.sleep(60)
      task.shield(function()
        task.sleep(0.05)
        tidied = tidied + 1
      end)
    end)
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("interrupted!", 1, true), tostring(err))
    assert.are.equal(3, tidied)
    assert.is_true(core.now() - begun < 30)
  end)
end)

describe("on the wire", function()
  it("a cancelled request is aborted", function()
    local p = peer.start([[
      c:request()
      c:read(1)
      log("aborted")
    ]])
    task.run(function()
      local asking = task.spawn(wrenn.Capsule.list, p:options())
      expect.soon(function()
        return p:received()[1]
      end)
      asking:cancel()
      local list, err = asking:wait()
      assert.is_nil(list)
      assert.is_true(err:is("CancelledError"))
      p:await("aborted")
    end)
    p:stop()
  end)

  it("a capsule whose creation is broken off is destroyed", function()
    for _, wait in ipairs({ false, true }) do
      local go = os.tmpname() -- is there once it has been cancelled
      os.remove(go)
      local p = peer.start(([[
        c:request()
        while n == 1 and not io.open(%q) do
          c:sleep(0.01)
        end
        c:respond(200, '{"id":"cl-1","status":"starting"}',
          { "Connection: close" })
        c:close()
      ]]):format(go))
      task.run(function()
        local creating = task.spawn(wrenn.Capsule.create,
          p:options({ wait = wait }))
        expect.soon(function()
          return p:received()[1]
        end)
        creating:cancel()
        disk.write(go, "")
        local capsule, err = creating:wait()
        assert.is_nil(capsule)
        assert.are.equal("CancelledError", err.type)
      end)
      local requests = p:received()
      assert.is_truthy(requests[#requests]:find("DELETE /v1/capsules/cl-1 ",
        1, true), requests[#requests])
      os.remove(go)
      p:stop()
    end
  end)

  it("a capsule that a dropped coroutine was left with is destroyed", function()
    local s = server.start()
    local function count()
      return #assert(wrenn.Capsule.list(s:options()))
    end
    local function use(capsule)
      coroutine.yield(capsule.id)
      error("it is not resumed")
    end
    local held = { ids = coroutine.wrap(function()
      local capsule = assert(wrenn.Capsule.create(s:options()))
      if nested.call ~= pcall then -- 5.1 cannot yield in wrenn.with
        local lift = task.guard(getmetatable(capsule).__close, capsule)
        use(capsule)
        return lift()
      end
      wrenn.with(capsule, use)
    end) }
    assert.is_string(held.ids())
    collectgarbage()
    assert.are.equal(1, count())
    wrenn.update()
    assert.are.equal(1, count())
    held.ids = nil
    collectgarbage()
    collectgarbage()
    local deadline = core.now() + 20
    while count() > 0 and core.now() < deadline do
      wrenn.update()
    end
    assert.are.equal(0, count())
    s:stop()
  end)

  it("tasks outside a run leave nothing behind", function()
    local function heap_after(count)
      for _ = 1, count do
        assert(task.gather({ function() return true end }))
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage("count")
    end
    local before = heap_after(100)
    assert.is_true(heap_after(2000) - before < 32) -- KiB
  end)

  it("a closed stream ends the wait of another task", function()
    local s = server.start()
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    task.run(function()
      local stream = assert(capsule.commands:stream("sleep 30"))
      local term = assert(capsule:pty({ cmd = "/bin/cat" }))
      local reading = { task.spawn(stream.wait, stream), task.spawn(function()
        repeat
          local ev = term:read()
        until not ev
        return "ended"
      end) }
      task.sleep(0.2)
      stream:close()
      term:close()
      local result, err = reading[1]:wait()
      assert.is_nil(result)
      assert.are.equal("CancelledError", err.type)
      assert.are.equal("ended", reading[2]:wait())
    end)
    s:stop()
  end)

  it("writes of several tasks to one terminal arrive whole", function()
    local s = server.start()
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    task.run(function()
      local term = assert(capsule:pty({ cmd = "/bin/sh",
        args = { "-c", "stty -echo; echo ready; sort" } }))
      local text = ""
      while not text:find("ready") do
        text = text .. (assert(term:read()).data or "")
      end
      assert(task.map({ "a", "b", "c", "d" }, function(letter)
        return term:write(letter:rep(100) .. "\n")
      end))
      assert(term:write("\4"))
      text = ""
      repeat
        local ev = term:read()
        text = text .. (ev and ev.data or "")
      until not ev
      assert.is_truthy(text:find(("a"):rep(100) .. "\r\n" .. ("b"):rep(100)
        .. "\r\n" .. ("c"):rep(100) .. "\r\n" .. ("d"):rep(100), 1, true),
        text)
      term:close()
    end)
    s:stop()
  end)

  it("commands run at the same time", function()
    local s = server.start()
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    local took = seconds(function()
      local list = {}
      for i = 1, 12 do
        list[i] = i
      end
      local results = assert(task.map(list, function(i)
        local result, err = capsule.commands:run("sleep 2; echo " .. i)
        return result and result.stdout, err
      end))
      assert.are.equal("12\n", results[12])
    end)
    assert.is_true(took < 20) -- 24 s one after the other
    s:stop()
  end)

  it("streams are read beside each other", function()
    local s = server.start()
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    local counts = task.gather({
      function()
        return #assert(capsule.commands:stream("seq 1 100000")):wait().stdout
      end,
      function()
        local count = 0
        for ev in assert(capsule.commands:stream("seq 1 100000")) do
          count = count + (ev.type == "stdout" and #ev.data or 0)
        end
        return count
      end,
    })
    assert.are.same({ 588895, 588895 }, counts)
    s:stop()
  end)

  it("two tasks may read one stream: each event goes to one of them",
    function()
      local s = server.start()
      local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
      local stream = assert(capsule.commands:stream(
        "for i in 1 2 3 4 5 6; do echo $i; sleep 0.02; done"))
      local seen = {}
      local function reader()
        for ev in stream do
          if ev.type == "stdout" then
            seen[#seen + 1] = ev.data
          end
        end
        return true
      end
      assert(task.with_timeout(60, function()
        return task.gather({ reader, reader })
      end))
      table.sort(seen)
      assert.are.equal("1\n2\n3\n4\n5\n6\n", table.concat(seen))
      s:stop()
    end)

  if coroutine.close then -- 5.4 has it
    it("a task whose coroutine is closed is over, its events go to others",
      function()
        local s = server.start()
        local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
        local stream = assert(capsule.commands:stream(
          "until [ -e closed ]; do sleep 0.05; done"))
        assert.are.equal("start", stream:read().type)
        local co
        local function next_type()
          co = co or coroutine.running()
          return stream:read().type
        end
        assert.is_true(task.run(function()
          local closed = task.spawn(next_type)
          local other = task.spawn(next_type)
          task.sleep(0.01)
          assert(coroutine.close(co))
          assert(capsule.files:write("closed", ""))
          assert.are.equal("exit", other:wait())
          local _, err = closed:wait()
          assert.are.equal("CancelledError", err.type)
          return true
        end))
        s:stop()
      end)
  end
end)
