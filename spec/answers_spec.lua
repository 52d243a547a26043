-- Malformed answers: empty ones, web pages, arrays instead of objects, missing
-- fields, fields of a wrong type. Each is an error that names call and field.

local core = require("wrenn.core")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

local CAPSULE = '{"id":"cl-1","status":"running"}'

-- Every call whose answer is JSON: what it asks, a good answer, and answers
-- with the part of the message that names what is wrong with them.
local calls = {
  { "POST /v1/capsules", function(c)
    return wrenn.Capsule.create({ client = c.client })
  end, CAPSULE, {
    ['{"status":"running"}'] = "'id' is missing",
    ['{"id":"","status":"running"}'] = "'id' is empty",
    ['{"id":7,"status":"running"}'] = "'id' is not a string",
    ['{"id":null,"status":"running"}'] = "'id' is missing",
  } },
  { "GET /v1/capsules/cl-1", function(c) return c:get_info() end, CAPSULE, {
    ['{"id":"cl-1"}'] = "'status' is missing",
    ['{"id":"cl-1","status":1}'] = "'status' is not a string",
    ['{"id":"cl-1","status":"running","vcpus":"2"}'] =
      "'vcpus' is not a number",
    ['{"id":"cl-1","status":"running","metadata":"x"}'] =
      "'metadata' is not an object",
  } },
  { "POST /v1/capsules/cl-1/pause", function(c) return c:pause() end, CAPSULE,
    { ['{"status":"pausing"}'] = "'id' is missing" } },
  { "POST /v1/capsules/cl-1/resume", function(c) return c:resume() end,
    CAPSULE, { ['{"id":"cl-1"}'] = "'status' is missing" } },
  { "GET /v1/capsules", function(c)
    return wrenn.Capsule.list({ client = c.client })
  end, "[]", {
    ["{}"] = "the answer is not an array",
    ['["x"]'] = "'[1]' is not an object",
    ['[{"id":"cl-1","status":"running"},{"id":"cl-2"}]'] =
      "'[2].status' is missing",
    ["[null]"] = "the answer contains null",
    ['[{"id":"cl-1","status":"running"}, null]'] = "the answer contains null",
    ['[null,{"id":"cl-1","status":"running"}]'] = "the answer is not an array",
  } },
  { "GET /v1/capsules/stats", function(c) return c.client.capsules:stats() end,
    "{}", { ['{"current":1}'] = "'current' is not an object" } },
  { "GET /v1/capsules/usage", function(c) return c.client.capsules:usage() end,
    '{"points":null}', { ['{"points":{"a":1}}'] = "'points' is not an array",
      ['{"points":{}}'] = "'points' is not an array" } },
  { "GET /v1/capsules/cl-1/metrics", function(c) return c:metrics() end,
    '{"points":[]}', { ['{"points":[1]}'] = "'points[1]' is not an object",
      ['{"points":[[1]]}'] = "'points[1]' is not an object" } },
  { "POST /v1/capsules/cl-1/exec", function(c) return c.commands:run("x") end,
    '{"exit_code":0}', {
      ["{}"] = "'exit_code' is missing",
      ['{"exit_code":null}'] = "'exit_code' is missing",
      ['{"exit_code":"0"}'] = "'exit_code' is not a whole number",
      ['{"exit_code":0.5}'] = "'exit_code' is not a whole number",
      ['{"exit_code":0,"stdout":5}'] = "'stdout' is not a string",
      ['{"exit_code":0,"stderr":"*","encoding":"base64"}'] =
        "'stderr' is not valid base64",
    } },
  { "POST /v1/capsules/cl-1/exec", function(c) -- in the background
    return c.commands:run("x", { background = true })
  end, '{"pid":7,"tag":"t"}', {
    ["{}"] = "'pid' is missing",
    ['{"pid":0}'] = "'pid' is not a whole number above 0",
    ['{"pid":"7"}'] = "'pid' is not a whole number above 0",
    ['{"pid":1e300}'] = "'pid' is not a whole number above 0",
  } },
  { "GET /v1/capsules/cl-1/processes", function(c) return c.commands:list() end,
    "{}", {
      ['{"processes":[{"tag":"t"}]}'] = "'processes[1].pid' is missing",
      ['{"processes":"x"}'] = "'processes' is not an array",
      ['{"processes":{}}'] = "'processes' is not an array",
      ['{"processes":[null]}'] = "'processes' contains null",
      ['{"processes":[{"pid":7,"tag":"[,null]"},null]}'] =
        "'processes' contains null",
      ['{"processes":[5]}'] = "'processes[1]' is not an object",
    } },
  { "POST /v1/capsules/cl-1/files/list", function(c)
    return c.files:list("/x")
  end, '{"entries":null}', {
    ["{}"] = "'entries' is missing",
    ['{"entries":[{"path":"/x/a"}]}'] = "'entries[1].name' is missing",
    ['{"entries":[{"name":"a","size":"1"}]}'] =
      "'entries[1].size' is not a number",
    ['{"entries":{}}'] = "'entries' is not an array",
  } },
  { "POST /v1/capsules/cl-1/files/mkdir", function(c)
    return c.files:make_dir("/x")
  end, '{"entry":{"name":"x"}}', {
    ["{}"] = "'entry' is missing",
    ['{"entry":[]}'] = "'entry.name' is missing",
    ['{"entry":"x"}'] = "'entry' is not an object",
    ['{"entry":["x"]}'] = "'entry' is not an object",
  } },
  { "GET /v1/snapshots", function(c) return c.client.snapshots:list() end,
    "[]", {
      ["{}"] = "'templates' is missing",
      ['{"templates":5}'] = "'templates' is not an array",
      ['[{"name":5}]'] = "'[1].name' is not a string",
      ['[["x"]]'] = "'[1]' is not an object",
    } },
  { "POST /v1/snapshots", function(c) return c:create_snapshot() end,
    '{"name":"s"}', {
      ["{}"] = "'name' is missing",
      ['{"status":"snapshotting"}'] = "'id' is missing",
    } },
  { "POST /v1/volumes", function(c) return c.client.volumes:create({}) end,
    '{"id":"vol-1","name":"vl-a","size_mb":100,"status":"detached"}', {
      ["{}"] = "is missing",
      ['{"id":"vol-1","name":"vl-a","size_mb":"1","status":"detached"}'] =
        "'size_mb' is not a number",
    } },
  { "GET /v1/volumes", function(c) return c.client.volumes:list() end, "[]",
    { ["[{}]"] = "is missing" } },
  { "GET /health", function(c) return c.client:health() end,
    '{"status":"ok"}', { ['{"version":1}'] = "'version' is not a string" } },
}

-- Calls whose answer says nothing: whatever it is but JSON is not the API's.
local orders = {
  ["POST /v1/capsules/cl-1/ping"] = function(c) return c:ping() end,
  ["DELETE /v1/capsules/cl-1"] = function(c) return c:destroy() end,
  ["POST /v1/capsules/cl-1/files/write"] = function(c)
    return c.files:write("/x", "y")
  end,
  ["POST /v1/capsules/cl-1/files/stream/write"] = function(c)
    return c.files:upload_stream("/x", "y")
  end,
  ["POST /v1/capsules/cl-1/files/remove"] = function(c)
    return c.files:remove("/x")
  end,
  ["DELETE /v1/capsules/cl-1/processes/5"] = function(c)
    return c.commands:kill(5)
  end,
  ["DELETE /v1/snapshots/s"] = function(c)
    return c.client.snapshots:delete("s")
  end,
  ["DELETE /v1/volumes/v"] = function(c)
    return c.client.volumes:delete("v")
  end,
}

local PAGE = "<!DOCTYPE html><html><title>Sign in</title></html>"

describe("an answer", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function capsule_of(...)
    p = peer.answering({ 200, CAPSULE }, ...)
    return assert(wrenn.Capsule.connect("cl-1", p:options()))
  end

  -- The call fails soon, and the message has these parts.
  local function refused(call, what, ...)
    local begin = core.now()
    local value, err = call(capsule_of(...))
    assert.is_nil(value)
    assert.is_true(core.now() - begin < 20) -- of 30
    assert.are.equal("ProtocolError", err.type, tostring(err))
    for _, part in ipairs(what) do
      assert.is_truthy(err.message:find(part, 1, true), err.message)
    end
    p:stop()
  end

  for _, case in ipairs(calls) do
    local name, call, good, bad = case[1], case[2], case[3], case[4]

    local title = ("of %s, like %s, "):format(name, good)

    it(title .. "is taken when it has what it must", function()
      assert(call(capsule_of({ 200, good }, { 200, '{"status":"ok"}' })))
    end)

    it(title .. "is refused when it is none", function()
      refused(call, { name, "is empty" }, { 200, "" })
      refused(call, { name, "is empty" }, { 204, "" })
      refused(call, { name, "not JSON" },
        { 200, PAGE, "Content-Type: text/html" })
      refused(call, { name, "not JSON" }, { 200, "null" })
      refused(call, { name, "not JSON" }, { 200, '"x"' })
      if good ~= "[]" then
        refused(call, { name, "array" }, { 200, "[]" })
        refused(call, { name, "array" }, { 200, "[1]" })
      end
      for text, what in pairs(bad) do
        refused(call, { name, what }, { 200, text })
      end
    end)
  end

  for name, call in pairs(orders) do
    it("of " .. name .. " is no success when it is a page", function()
      -- What is asked besides is answered as it should be.
      p = peer.start(([[
        orders = orders or 0
        while true do
          local req = c:request()
          if not req then return end
          if req.method .. " " .. req.path == %q then
            orders = orders + 1
            c:respond(orders == 1 and 204 or 200, orders == 1 and "" or %q)
          else
            c:respond(200, '{"id":"cl-1","status":"running","processes":'
              .. '[{"pid":5}],"version":"0.4.0"}')
          end
        end
      ]]):format(name, PAGE))
      local capsule = assert(wrenn.Capsule.connect("cl-1", p:options()))
      assert.is_true(call(capsule))
      local ok, err = call(capsule)
      assert.is_nil(ok)
      assert.are.equal("ProtocolError", err.type)
      assert.are.equal(name .. ": the answer is not JSON", err.message)
    end)
  end

  it("of bytes is no page of somebody else's", function()
    local page = { 200, PAGE, "Content-Type: text/html; charset=utf-8" }
    refused(function(c) return c.files:read("/x") end,
      { "POST /v1/capsules/cl-1/files/read", "web page" }, page)
    refused(function(c) return c.files:download_stream("/x") end,
      { "POST /v1/capsules/cl-1/files/stream/read", "web page" },
      { 200, '{"entries":[{"name":"x","type":"file","size":52}]}' }, page)
    local capsule = capsule_of({ 200, PAGE,
      "Content-Type: application/octet-stream" })
    assert.are.equal(PAGE, capsule.files:read("/x"))
  end)

  it("that tells too little of a new capsule leaves none behind", function()
    p = peer.answering({ 202, '{"id":"cl-9"}' }, { 204, "" })
    local capsule, err = wrenn.Capsule.create(p:options())
    assert.is_nil(capsule)
    assert.are.equal("ProtocolError", err.type)
    assert.is_truthy(p:received()[2]:find("^DELETE /v1/capsules/cl%-9 "))
  end)
end)

describe("a frame", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function capsule_with(frame)
    p = peer.start(([[
      local req = c:request()
      while req and not req.headers.upgrade do
        c:respond(200, '%s')
        req = c:request()
      end
      if not req then return end
      c:upgrade(req)
      c:read_frame()
      c:text('%s')
      c:read_frame()
    ]]):format(CAPSULE, frame))
    return assert(wrenn.Capsule.connect("cl-1", p:options()))
  end

  for _, frame in ipairs({ '{"type":"start"}', '{"type":"start","pid":0}',
    '{"type":"start","pid":-4}', '{"type":"start","pid":null}' }) do
    it("that starts a command has its pid, not " .. frame, function()
      local stream = assert(capsule_with(frame).commands:stream("x"))
      local event, err = stream:read()
      assert.is_nil(event)
      assert.are.equal("ProtocolError", err.type)
      assert.are.equal("the start frame has no pid", err.message)
      assert.are.equal(err, stream.err)
    end)
  end

  it("that starts a terminal has its pid", function()
    local term = assert(capsule_with('{"type":"started","tag":"t"}'):pty())
    local event, err = term:read()
    assert.is_nil(event)
    assert.are.equal("ProtocolError", err.type)
    assert.are.equal("the started frame has no pid", err.message)
  end)
end)
