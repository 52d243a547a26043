-- Every operation and every fault of the way: the right typed error within the
-- deadline, no success that is none, nothing left open.

local core = require("wrenn.core")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

-- What the peer does instead of answering, and what that has to be.
local faults = {
  { "reset before the answer", "c:reset()", { "ConnectionError" } },
  { "end before the answer", "c:close()", { "ConnectionError" } },
  { "reset after the headers",
    'c:send("HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\n") c:sleep(0.05)'
      .. " c:reset()", { "ConnectionError" } },
  { "truncated body",
    'c:send("HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\n{}") c:close()',
    { "ConnectionError" } },
  { "stalled body",
    'c:send("HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\n{") c:sleep(9)',
    { "TimeoutError" } },
  { "silence", "c:sleep(9)", { "TimeoutError" } },
  { "garbage", 'c:send("garbage\\r\\n\\r\\n") c:close()', { "ProtocolError" } },
  { "a redirect", 'c:respond(302, "", {"Location: http://127.0.0.1:1/"})',
    { "ProtocolError" } },
  { "HTML with 502", 'c:respond(502, "<html>no</html>")', { "AgentError" } },
}
for status, name in pairs({
  [401] = "AuthenticationError", [404] = "NotFoundError",
  [409] = "ConflictError", [413] = "TooLargeError", [429] = "RateLimitError",
  [500] = "InternalError", [502] = "AgentError",
  [503] = "HostUnavailableError", [504] = "AgentError",
}) do
  faults[#faults + 1] = { "a " .. status, ('c:respond(%d, \'{"error":{"code":'
    .. '"x","message":"m","request_id":"req_1","retryable":false}}\')')
    :format(status), { name } }
end

local operations = {
  create = function(c) return wrenn.Capsule.create({ client = c.client }) end,
  list = function(c) return wrenn.Capsule.list({ client = c.client }) end,
  get_info = function(c) return c:get_info() end,
  destroy = function(c) return c:destroy() end,
  pause = function(c) return c:pause() end,
  ping = function(c) return c:ping() end,
  run = function(c) return c.commands:run("x") end,
  background = function(c)
    return c.commands:run("x", { background = true })
  end,
  processes = function(c) return c.commands:list() end,
  kill = function(c) return c.commands:kill(5) end,
  stream = function(c) return (c.commands:stream("x")) end,
  connect = function(c) return (c.commands:connect(5)) end,
  pty = function(c) return (c:pty()) end,
  read = function(c) return c.files:read("/x") end,
  write = function(c) return c.files:write("/x", ("y"):rep(200000)) end,
  list_files = function(c) return c.files:list("/x") end,
  make_dir = function(c) return c.files:make_dir("/x") end,
  remove = function(c) return c.files:remove("/x") end,
  upload = function(c)
    return c.files:upload_stream("/x", { ("y"):rep(300000), "z" })
  end,
  download = function(c)
    local download, err = c.files:download_stream("/x")
    while download do
      local piece
      piece, err = download:read()
      if not piece then
        break
      end
    end
    return nil, err
  end,
}

-- Calls that carry bytes do not look at them: these faults are not for them.
local opaque = { read = true }
-- An answer to an upgrade that is no 101 says nothing by its body.
local upgrades = { stream = true, connect = true, pty = true }

local function count_fds()
  local pipe = io.popen("ls /proc/$PPID/fd | wc -l")
  local count = tonumber(pipe:read("*a"))
  pipe:close()
  return count
end

local function expected(name, fault)
  if not upgrades[name] then
    return fault[3]
  elseif fault[1]:find("headers") or fault[1]:find("body") then
    return { "WrennError" } -- a 200 is no upgrade, however it ends
  end
  return fault[3]
end

for name, operation in pairs(operations) do
  describe("the operation " .. name, function()
    for _, fault in ipairs(faults) do
      it("survives " .. fault[1], function()
        local p = peer.start(([[
          while true do
            local head = c:read_to("\r\n\r\n")
            if not head then return end
            if not first then
              first = true
              c:respond(200, '{"id":"cl-1","status":"running"}')
            else
              local length = tonumber(head:match("Content%%-Length: (%%d+)"))
              if length then c:read(length) end
              %s
              return
            end
          end
        ]]):format(fault[2]))
        local client = assert(wrenn.Client(p:options({ retries = 0,
          timeout = 0.5, connect_timeout = 0.5 })))
        local capsule = assert(wrenn.Capsule.connect("cl-1",
          { client = client }))
        -- A command has its own limit, and ten seconds for the way.
        local begin = core.now()
        local result, err = wrenn.task.with_timeout(1.5, function()
          return operation(capsule)
        end)
        assert.is_true(core.now() - begin < 3)
        assert.is_nil(result)
        assert.is_true(wrenn.errors.is_error(err))
        local fits = false
        for _, type_name in ipairs(expected(name, fault)) do
          fits = fits or err:is(type_name)
        end
        assert.is_true(fits, tostring(err))
        p:stop()
      end)
    end

    if not opaque[name] and not upgrades[name] then
      it("takes no garbage for an answer", function()
        local takes_any = { write = true, upload = true, kill = true,
          remove = true, download = true }
        local p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' },
          { 200, "garbage" })
        local capsule = assert(wrenn.Capsule.connect("cl-1", p:options()))
        local result, err = operation(capsule)
        if not takes_any[name] then
          assert.is_nil(result)
          assert.is_true(err:is("ProtocolError"))
        end
        p:stop()
      end)
    end

    it("is refused, or finds no host, at once", function()
      local p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' })
      local capsule = assert(wrenn.Capsule.connect("cl-1", p:options()))
      p:stop()
      capsule.client.settings.retries = 0
      for _, base in ipairs({ p.url, "http://no-such-host.invalid" }) do
        capsule.client.settings.base_url = base
        local result, err = operation(capsule)
        assert.is_nil(result)
        assert.is_true(err:is("ConnectionError"), tostring(err))
      end
    end)
  end)
end

describe("all of that", function()
  it("leaves no descriptor behind", function()
    local p = peer.start([[
      local req = c:request()
      if not req then return end
      if n % 3 == 0 then return c:reset() end
      if n % 3 == 1 then return c:respond(500, "x") end
      c:send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
      c:sleep(0.02)
      c:close()
    ]])
    local client = assert(wrenn.Client(p:options({ retries = 0 })))
    local capsule = setmetatable({ client = client, id = "cl-1",
      commands = require("wrenn.commands").new(client, "cl-1"),
      files = require("wrenn.files").new(client, "cl-1") },
      getmetatable(wrenn.Capsule).__index)
    local before
    for round = 1, 12 do
      for name, operation in pairs(operations) do
        local result = operation(capsule)
        assert.is_nil(result, name)
      end
      collectgarbage()
      if round == 4 then
        before = count_fds()
      end
    end
    wrenn.task.sleep(0.2)
    assert.is_true(count_fds() <= before + 2)
    p:stop()
  end)
end)
