-- Errors: how answers become them, and that they never contain the key.

local peer = require("spec.support.peer")
local wrenn = require("wrenn")

local errors = wrenn.errors

local function envelope(code, more)
  return ('{"error":{"code":"%s","message":"what happened"%s}}')
    :format(code, more or "")
end

describe("an answer", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function get(...)
    p = peer.answering(...)
    local info, err =
      wrenn.Capsule.get_info("cl-1", p:options())
    assert.is_nil(info)
    return err
  end

  local types = {
    { 400, "invalid_request", "ValidationError" },
    { 422, "whatever", "ValidationError" },
    { 401, "unauthorized", "AuthenticationError" },
    { 403, "forbidden", "ForbiddenError" },
    { 404, "not_found", "NotFoundError" },
    { 404, "template_not_found", "NotFoundError" },
    { 404, "volume_not_found", "NotFoundError" },
    { 409, "conflict", "ConflictError" },
    { 409, "invalid_state", "ConflictError" },
    { 409, "host_has_sandboxes", "HostHasCapsulesError" },
    { 413, "too_large", "TooLargeError" },
    { 413, "payload_too_large", "TooLargeError" },
    { 418, "teapot", "WrennError" },
    { 429, "rate_limited", "RateLimitError" },
    { 500, "internal_error", "InternalError" },
    { 501, "agent_error", "AgentError" },
    { 502, "agent_error", "AgentError" },
    { 503, "host_unavailable", "HostUnavailableError" },
    { 503, "no_hosts_available", "HostUnavailableError" },
    { 504, "gateway", "AgentError" },
    { 599, "new", "InternalError" },
  }
  for _, case in ipairs(types) do
    it(("%d %s is a %s"):format(case[1], case[2],
      case[3]), function()
      local err = get({ case[1], envelope(case[2]) })
      assert.are.equal(case[3], err.type)
      assert.are.same({ case[1], case[2], "what happened" },
        { err.status_code, err.code, err.message })
      assert.is_true(err:is("WrennError"))
    end)
  end

  it("of the newer shape keeps all it says", function()
    local err = get({ 409, envelope("sandbox_not_running",
      ',"request_id":"req_1","retryable":true,"details":{"status":"paused"}') })
    assert.is_true(err:is("ConflictError"))
    assert.are.same({ "req_1", true, "paused", "paused" },
      { err.request_id, err.retryable, err.details.status, err.status })
  end)

  it("has its request id in a header as well", function()
    assert.are.equal("req_2",
      get({ 404, envelope("not_found"), "X-Request-ID: req_2" }).request_id)
  end)

  it("of HTML is an error with the status and the text", function()
    for _, page in ipairs({ "<html>Bad Gateway</html>",
      '<!DOCTYPE html><html><head><title>Bad Gateway</title><link href="x">'
        .. "</head></html>",
      "\n<HTML><TITLE>Server</TITLE><H1 class='x'>Bad <i>Gateway</i>\n</H1>",
    }) do
      local err = get({ 502, page })
      assert.are.same({ "AgentError", 502, "Bad Gateway" },
        { err.type, err.status_code, err.message })
    end
  end)

  for name, body in pairs({
    ["a string for an error"] = '{"error":"x"}',
    ["an array"] = "[]",
    ["null"] = "null",
    ["numbers where text belongs"] = '{"error":{"code":1,"message":2}}',
    ["nothing"] = "",
  }) do
    it("of 400 with " .. name .. " is an error object", function()
      local err = get({ 400, body })
      assert.are.same({ "ValidationError", 400 }, { err.type, err.status_code })
      assert.is_true(#err.message > 0)
    end)
  end

  it("of 429 says when to come back", function()
    local err = get({ 429, envelope("rate_limited"), "Retry-After: 60" })
    assert.is_true(err:is("RateLimitError"))
    assert.are.equal(60, err.retry_after)
    assert.is_true(err.retryable)
    assert.are.equal(1, #p:received())
  end)

  it("of 429 that asks for a short pause is tried again", function()
    p = peer.answering({ 429, envelope("rate_limited"), "Retry-After: 0" },
      { 200, '{"id":"cl-1","status":"running"}' })
    assert(wrenn.Capsule.get_info("cl-1", p:options()))
    assert.are.equal(2, #p:received())
  end)

  for _, status in ipairs({ 301, 302, 307, 308 }) do
    it("of " .. status .. " is not followed", function()
      local err = get({ status, "", "Location: http://127.0.0.1:1/elsewhere" })
      assert.is_true(err:is("ProtocolError"))
      assert.are.equal(1, #p:received())
    end)
  end

  for name, body in pairs({
    garbage = "garbage", ["a number"] = "5", ["half of it"] = '{"id":',
  }) do
    it("of 200 with " .. name .. " is a protocol error", function()
      assert.is_true(get({ 200, body }):is("ProtocolError"))
    end)
  end

  local flaky = [[
    if n <= 2 then c:request() return c:reset() end
    while true do
      local req = c:request()
      if not req then return end
      c:respond(200, '{"id":"cl-1","status":"running"}')
    end
  ]]

  it("that fails twice on the way is asked for again", function()
    p = peer.start(flaky)
    assert(wrenn.Capsule.get_info("cl-1", p:options()))
    assert.are.equal(3, #p:received())
  end)

  it("of an error is asked for again where the server says so", function()
    for _, status in ipairs({ 502, 503, 504 }) do
      local body = '{"error":{"code":"x","message":"m","request_id":"req_1"%s}}'
      for more, count in pairs({ [',"retryable":true'] = 2,
        [',"retryable":false'] = 1, [""] = status == 503 and 2 or 1 })
      do
        p = peer.answering({ status, body:format(more) },
          { 200, '{"id":"cl-1","status":"running"}' })
        local info = wrenn.Capsule.get_info("cl-1", p:options())
        assert.are.equal(count == 2, info ~= nil)
        assert.are.equal(count, #p:received())
        p:stop()
      end
    end
    p = peer.answering({ 200 })
  end)

  it("that is asked for again has the time of one call for both", function()
    p = peer.start([[
      c:request()
      if n == 1 then c:sleep(3) c:reset() else c:sleep(60) end
    ]])
    local attempts = {}
    local client = assert(wrenn.Client(p:options({ timeout = 9,
      on_event = function(ev)
        attempts[#attempts + 1] = ev.duration
      end })))
    local info, err = client.capsules:get("cl-1")
    assert.is_nil(info)
    assert.are.equal("TimeoutError", err.type)
    assert.are.equal(2, #attempts)
    assert.is_true(attempts[2] < 8, "took " .. attempts[2] .. " s")
  end)

  it("to a POST is never asked for again", function()
    p = peer.start(flaky)
    local capsule, err = wrenn.Capsule.create(p:options())
    assert.is_nil(capsule)
    assert.is_true(err:is("ConnectionError"))
    assert.are.equal(1, #p:received())
  end)

  it("that failed says whether the request may have arrived", function()
    p = peer.start([[
      local req = c:request()
      if req.method == "GET" and n < 3 then c:reset() else c:sleep(60) end
    ]])
    local client = assert(wrenn.Client(p:options({ timeout = 2 })))
    local _, err = client.capsules:create({})
    assert.are.same({ "TimeoutError", "timeout", true },
      { err.type, err.details.kind, err.details.sent })
    _, err = wrenn.Capsule.create({ base_url = "http://127.0.0.1:1",
      api_key = "k" })
    assert.are.same({ "connect", false },
      { err.details.kind, err.details.sent })
    client:close()
    _, err = client.capsules:create({})
    assert.are.same({ "ConnectionError", false },
      { err.type, err.details.sent })
  end)

  it("that failed twice may have arrived the first time", function()
    -- The second attempt finds nobody.
    p = peer.start([[ c:request() c:reset() os.exit() ]])
    local client = assert(wrenn.Client(p:options({ retries = 1 })))
    local _, err = client.capsules:get("cl-1")
    assert.are.same({ "ConnectionError", true },
      { err.type, err.details.sent })
  end)

  it("is asked for as often as the client is told to", function()
    p = peer.start([[ c:request() c:reset() ]])
    local client = assert(wrenn.Client(p:options({ retries = 0 })))
    local info, err = client.capsules:get("cl-1")
    assert.is_nil(info)
    assert.is_true(err:is("ConnectionError"))
    assert.are.equal(1, #p:received())
  end)
end)

describe("an error", function()
  it("is one readable line", function()
    local err = errors.new("NotFoundError", "no such\nthing",
      { code = "not_found", status_code = 404, request_id = "req_1" })
    assert.are.equal("NotFoundError: no such thing"
      .. " (HTTP 404, not_found, req_1) at " .. err.where, tostring(err))
    assert.are.equal("so: " .. tostring(err), "so: " .. err)
  end)

  it("is one for a terminal, too", function()
    local err = errors.new("AgentError", "a\27[2J\7b\194\155c\127\0d\r\n e")
    assert.are.equal("AgentError: a [2J b c d e at " .. err.where,
      tostring(err))
  end)

  it("knows its place in the tree", function()
    local err = errors.new("HostHasCapsulesError", "x")
    assert.is_true(err:is("HostHasCapsulesError"))
    assert.is_true(err:is("ConflictError"))
    assert.is_true(err:is("WrennError"))
    assert.is_false(err:is("NotFoundError"))
    assert.is_true(errors.new("GitAuthError", "x"):is("GitError"))
  end)

  it("is raised by check, and its values pass through otherwise", function()
    local err = errors.new("WrennError", "x")
    local ok, raised = pcall(wrenn.check, nil, err)
    assert.is_false(ok)
    assert.are.equal(err, raised)
    assert.are.same({ 1, nil, 3 }, { wrenn.check(1, nil, 3) })
  end)
end)

describe("the API key", function()
  it("is in no error, no text and no dump of a client", function()
    local key = "wrn_secretsecretsecret"
    local client = assert(wrenn.Client({ api_key = key,
      base_url = "http://127.0.0.1:1", retries = 0 }))
    local _, err = client.capsules:get("cl-1")
    local seen = {}
    local function search(value)
      if type(value) == "string" then
        assert.is_nil(value:find(key, 1, true))
      elseif type(value) == "table" and not seen[value] then
        seen[value] = true
        for k, v in pairs(value) do
          search(k)
          search(v)
        end
      end
    end
    search(client)
    search(err)
    search(tostring(client))
    search(tostring(err))
  end)
end)
