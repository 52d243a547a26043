-- Which requests are sent again, when, how often, and what is told of it.
-- Takes long: begins first.

local core = require("wrenn.core")
local dates = require("wrenn.dates")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

local NOBODY = "http://127.0.0.1:1"
local CAPSULE = '{"id":"cl-1","status":"running"}'

-- The elapsed seconds, and what the function returned.
local function timed(fn, ...)
  local begin = core.now()
  local value, err = fn(...)
  return core.now() - begin, value, err
end

describe("a request that failed", function()
  local p, seen

  before_each(function()
    seen = {}
  end)

  after_each(function()
    if p then
      p:stop()
      p = nil
    end
  end)

  local function client_of(options)
    options.on_event = function(event) seen[#seen + 1] = event end
    return assert(wrenn.Client(options))
  end

  -- What may be repeated, and what may not: the method or the end of the path,
  -- the body of a good answer, and the call.
  local function calls(capsule)
    local client = capsule.client
    return {
      { "GET", CAPSULE, function() return client.capsules:get("cl-1") end },
      { "DELETE", "", function() return client.capsules:destroy("cl-1") end },
      { "ping", "", function() return client.capsules:ping("cl-1") end },
      { "files/list", '{"entries":[]}', function()
        return capsule.files:list("/x")
      end },
      { "files/read", "bytes", function() return capsule.files:read("/x") end },
      { "stream/read", "bytes", function()
        return require("wrenn.wire.download").open(client,
          "/v1/capsules/cl-1/files/stream/read", "/x", "/x")
      end },
    }, {
      { "POST", CAPSULE, function() return client.capsules:create() end },
      { "pause", CAPSULE, function() return client.capsules:pause("cl-1") end },
      { "resume", CAPSULE,
        function() return client.capsules:resume("cl-1") end },
      { "this command", '{"exit_code":0}',
        function() return capsule.commands:run("this command") end },
      { "files/write", "", function()
        return capsule.files:write("/x", "1")
      end },
      { "stream/write", "", function()
        return capsule.files:upload_stream("/x", { "1" })
      end },
    }
  end

  -- A capsule whose server fails once in the way of `failure`, and then gives
  -- the answer `good`.
  local function capsule_of(failure, good)
    p = peer.start(([[
      while true do
        local req = c:request()
        if not req then return end
        asked = (asked or 0) + 1
        if asked == 1 then
          -- On a connection that was idle libcurl itself would try again.
          c:respond(200, %q, {"Connection: close"})
          return c:close()
        elseif asked == 2 then
          %s
        else
          c:respond(200, %q, {"Content-Type: application/json"})
        end
      end
    ]]):format(CAPSULE, failure, good))
    local capsule = assert(wrenn.Capsule.connect("cl-1",
      { client = client_of(p:options()) }))
    seen = {}
    return capsule
  end

  local failures = {
    ["a reset"] = "return c:reset()",
    ["an end without an answer"] = "return c:close()",
    ["429"] = "c:respond(429, '')",
    ["502 of a gateway"] =
      [[c:respond(502, "<html>no", {"Content-Type: text/html"})]],
    ["503"] = "c:respond(503, '')",
    ["504"] = "c:respond(504, 'too late')",
  }
  local count = #calls({ client = {} })
  for name, failure in pairs(failures) do
    it("by " .. name .. " is sent again where that does no harm", function()
      for i = 1, count do
        local good = calls({ client = {} })[i]
        local capsule = capsule_of(failure, good[2])
        local took, value, err = timed(calls(capsule)[i][3])
        assert(value, good[1] .. ": " .. tostring(err))
        assert.are.equal(3, #p:received(), good[1])
        assert.are.same({ 1, 2 }, { seen[1].attempt, seen[2].attempt })
        assert.is_true(seen[1].retry_in >= 0 and seen[1].retry_in < 0.6)
        assert.is_truthy(seen[1].error)
        assert.are.same({ 200 }, { seen[2].status, seen[2].error })
        assert.is_nil(seen[2].retry_in)
        assert.is_true(took < 15, good[1] .. " took " .. took)
        p:stop()
      end
    end)

    it("by " .. name .. " is not sent again where it might", function()
      local _, others = calls({ client = {} })
      for i = 1, #others do
        local capsule = capsule_of(failure, others[i][2])
        local _, list = calls(capsule)
        local took, value, err = timed(list[i][3])
        assert.is_nil(value, others[i][1])
        assert.is_truthy(err.type)
        assert.are.equal(1, #seen == 0 and 1 or seen[1].attempt)
        local sent = 0
        for _, text in ipairs(p:received()) do
          sent = sent + (text:find(others[i][1], 1, true) and 1 or 0)
        end
        assert.is_true(sent <= 1, others[i][1] .. " was sent " .. sent)
        assert.is_true(took < 15, others[i][1] .. " took " .. took)
        p:stop()
      end
    end)
  end

  it("before its WebSocket was open is sent again, and its message once",
    function()
      for _, failure in ipairs({ "return c:reset()", "c:respond(503, '')" }) do
        p = peer.start(([[
          while true do
            local req = c:request()
            if not req then return end
            asked = (asked or 0) + 1
            if asked == 1 then
              c:respond(200, %q)
            elseif asked == 2 then
              %s
            else
              c:upgrade(req)
              log("message: " .. c:read_frame())
              c:text('{"type":"exit","exit_code":7}')
            end
          end
        ]]):format(CAPSULE, failure))
        local capsule = assert(wrenn.Capsule.connect("cl-1",
          { client = client_of(p:options()) }))
        local stream = assert(capsule.commands:stream("x"))
        assert.are.equal(7, assert(stream:wait()).exit_code)
        local messages = 0
        for _, text in ipairs(p:received()) do
          messages = messages + (text:find("^message: ") and 1 or 0)
        end
        assert.are.equal(1, messages)
        assert.are.same({ 1, 2, 101 },
          { seen[2].attempt, seen[3].attempt, seen[3].status })
        p:stop()
      end
    end)

  it("and certainly did not arrive is sent again, whatever it is", function()
    local client = client_of({ base_url = NOBODY, api_key = "k" })
    local capsule = setmetatable({ id = "cl-1", client = client },
      { __index = wrenn.Capsule })
    capsule.commands = require("wrenn.commands").new(client, "cl-1")
    capsule.files = require("wrenn.files").new(client, "cl-1",
      capsule.commands)
    local _, others = calls(capsule)
    for _, call in ipairs(others) do
      seen = {}
      local took, value, err = timed(call[3])
      assert.is_nil(value)
      assert.is_false(err.details.sent)
      -- But for data that is used up.
      local attempts = call[1] == "stream/write" and 0 or 3
      assert.are.equal(attempts, #seen, call[1])
      assert.is_true(took < 15)
    end
  end)

  it("and then cannot be sent again may have arrived all the same", function()
    p = peer.start([[ c:request() c:reset() ]])
    local options = p:options()
    options.on_event = function()
      if p then -- nobody is there for the second attempt
        p:stop()
        p = nil
      end
    end
    local client = assert(wrenn.Client(options))
    local value, err = client.capsules:get("cl-1")
    assert.is_nil(value)
    assert.are.equal("ConnectionError", err.type)
    assert.is_true(err.details.sent)
  end)

  it("is sent again after pauses drawn from a range that doubles", function()
    local client = client_of({ base_url = NOBODY, api_key = "k", retries = 3 })
    local list = {}
    for i = 1, 33 do
      list[i] = i
    end
    local took = timed(wrenn.task.map, list, function()
      client.capsules:get("cl-1")
      return true
    end, { concurrency = #list })
    assert.is_true(took < 20, "took " .. took) -- 70 s one after the other
    assert.are.equal(4 * #list, #seen)
    local longest, shortest = { 0, 0, 0 }, { 9, 9, 9 }
    for _, event in ipairs(seen) do
      local at, pause = event.attempt, event.retry_in
      if at <= 3 then
        longest[at] = math.max(longest[at], pause)
        shortest[at] = math.min(shortest[at], pause)
      else
        assert.is_nil(pause)
      end
    end
    for at = 1, 3 do
      local most = 0.6 * 2 ^ (at - 1)
      assert.is_true(longest[at] < most and longest[at] > most / 2)
      assert.is_true(shortest[at] >= 0 and shortest[at] < most / 3)
    end
  end)

  -- An answer's headers, and what comes of them: the least pause and what the
  -- error says, or false for no further attempt.
  for _, case in ipairs({
    { "Retry-After: 0", 0, 0 },
    { "Retry-After: 1", 1, 1 },
    { "Retry-After: 31", false, 31 },
    { "Retry-After: 99999999999999999999", false, 86400 },
    { "Retry-After: " .. ("9"):rep(500), false, 86400 },
    { "Retry-After: -1", 0 },
    { "Retry-After: 0x1", 0 },
    { "Retry-After: nan", 0 },
    { "Retry-After: soon", 0 },
    { "Retry-After:", 0 },
    { "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 0, 0 },
    { "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", false, 86400 },
    { "Retry-After: Sun, 06 Nov 1994 25:49:37 GMT", 0 },
    { "Retry-After: Sun, 06 Nov 1994 08:49:38 GMT", 1, 1,
      "Date: Sun, 06 Nov 1994 08:49:37 GMT" },
  }) do
    it("and has the header " .. case[1]:sub(1, 50) .. " is answered so",
      function()
        for _, status in ipairs({ 429, 503 }) do
          seen = {}
          p = peer.answering({ status, "", case[1], case[4] },
            { 200, CAPSULE })
          local client = client_of(p:options({ timeout = 60 }))
          local took, value, err =
            timed(client.capsules.get, client.capsules, "cl-1")
          assert.are.equal(case[3], seen[1].error.retry_after)
          if case[2] then
            assert(value, tostring(err))
            local pause = seen[1].retry_in
            assert.is_true(pause >= case[2] and pause < case[2] + 0.6)
            assert.is_true(took >= case[2])
          else
            assert.is_nil(value)
            assert.are.equal(1, #seen)
          end
          assert.is_true(took < 15)
          p:stop()
        end
      end)
  end

  it("is not waited for longer than the call may take", function()
    p = peer.answering({ 503, "", "Retry-After: 20" }, { 200, CAPSULE })
    local client = client_of(p:options({ timeout = 15 }))
    local took, value, err =
      timed(client.capsules.get, client.capsules, "cl-1")
    assert.is_nil(value)
    assert.are.same({ 503, 20 }, { err.status_code, err.retry_after })
    assert.is_true(took < 14, "took " .. took)
  end)

  it("is given up when its caller is interrupted", function()
    p = peer.answering({ 503, "", "Retry-After: 20" })
    local client = client_of(p:options())
    local took, value, err = timed(wrenn.task.with_timeout, 0.3, function()
      return client.capsules:get("cl-1")
    end)
    assert.is_nil(value)
    assert.are.equal("TimeoutError", err.type)
    assert.is_true(took < 14, "took " .. took)
  end)

  it("is sent again only within the budget of its client", function()
    p = peer.start([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path:find("good") then
          c:respond(200, '{"id":"cl-1","status":"running"}')
        else
          c:respond(503, "", {"Retry-After: 0"})
        end
      end
    ]])
    local client = client_of(p:options({ retries = 3 }))
    local function ask(times, id, by)
      local list = {}
      for i = 1, times do
        list[i] = i
      end
      seen = {}
      assert(wrenn.task.map(list, function()
        by.capsules:get(id)
        return true
      end, { concurrency = times }))
    end
    ask(40, "bad", client)
    assert.are.equal(140, #seen)
    ask(3, "bad", client)
    assert.are.equal(3, #seen)
    -- Another client has its own; five successes earn one.
    ask(1, "bad", client_of(p:options({ retries = 3 })))
    assert.are.equal(4, #seen)
    ask(5, "good", client)
    ask(1, "bad", client)
    assert.are.equal(2, #seen)
  end)
end)

describe("a date of HTTP", function()
  it("is read in its three forms", function()
    for _, text in ipairs({ "Sun, 06 Nov 1994 08:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994" })
    do
      assert.are.equal(784111777, dates.parse(text))
    end
    assert.are.equal(2362034977, -- of a year with two digits
      dates.parse("Sunday, 06-Nov-44 08:49:37 GMT"))
    assert.are.equal(951782400, dates.parse("Tue, 29 Feb 2000 00:00:00 GMT"))
    assert.are.equal(4107542400,
      dates.parse("Mon, 01 Mar 2100 00:00:00 GMT"))
  end)

  it("is nothing else", function()
    for _, text in ipairs({ "", "Sun, 6 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:61 GMT",
      "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nvo 1994 08:49:37 GMT",
      "1994-11-06T08:49:37Z" })
    do
      assert.is_nil(dates.parse(text), text)
    end
  end)
end)
