-- Every operation and every fault of the way: the right typed error within the
-- deadline, no success that is none, nothing left open (behaviour cases of
-- errors, over all operations). One peer serves all: the first part of the
-- path says which fault it has to commit.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

local HEAD = "HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\n"

-- What the peer does instead of answering, what that has to be, and whether
-- only a deadline ends it.
local faults = {
  { "reset before the answer", "c:reset()", "ConnectionError" },
  { "end before the answer", "c:close()", "ConnectionError" },
  { "reset after the headers",
    'c:send("' .. HEAD .. '") c:sleep(0.01) c:reset()', "ConnectionError" },
  { "truncated body", 'c:send("' .. HEAD .. '{}") c:close()',
    "ConnectionError" },
  { "stalled body", 'c:send("' .. HEAD .. '{") c:sleep(9)', "TimeoutError",
    true },
  { "silence", "c:sleep(9)", "TimeoutError", true },
  { "garbage", 'c:send("garbage\\r\\n\\r\\n") c:close()', "ProtocolError" },
  { "redirect", 'c:respond(302, "", {"Location: http://127.0.0.1:1/"})',
    "ProtocolError" },
  { "HTML with 502", 'c:respond(502, "<html>no</html>")', "AgentError" },
}
for status, name in pairs({
  [401] = "AuthenticationError", [404] = "NotFoundError",
  [409] = "ConflictError", [413] = "TooLargeError", [429] = "RateLimitError",
  [500] = "InternalError", [502] = "AgentError",
  [503] = "HostUnavailableError", [504] = "AgentError",
}) do
  faults[#faults + 1] = { tostring(status), ('c:respond(%d, \'{"error":{"code":'
    .. '"x","message":"m","request_id":"req_1","retryable":false}}\')')
    :format(status), name }
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
  stream = function(c) return c.commands:stream("x") end,
  connect = function(c) return c.commands:connect(5) end,
  pty = function(c) return c:pty() end,
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


-- A call that carries bytes does not look at them: garbage is not for it.
local opaque = { read = true }
-- A 200 is no upgrade, however its body ends.
local for_upgrade = {
  ["reset after the headers"] = "ProtocolError",
  ["truncated body"] = "ProtocolError", ["stalled body"] = "ProtocolError",
}
local exceptions = {
  stream = for_upgrade, connect = for_upgrade, pty = for_upgrade,
  run = { ["504"] = "TimeoutError" }, -- the command's, says the server
}

local function expected(name, fault)
  return (exceptions[name] or {})[fault[1]] or fault[3]
end

local function peer_script()
  local lines = {}
  for i, fault in ipairs(faults) do
    lines[i] = ("[%d] = function(c) %s end,"):format(i, fault[2])
  end
  return ([[
    local faults = {
      %s
      garbage_body = function(c) c:respond(200, "garbage") end,
      ok = function(c)
        c:respond(200, '{"id":"cl-1","status":"running"}')
      end,
    }
    while true do
      local head = c:read_to("\r\n\r\n")
      if not head then return end
      local length = tonumber(head:match("Content%%-Length: (%%d+)"))
      if length then c:read(length) end
      local name = head:match("^%%S+ /([^/]+)/")
      faults[tonumber(name) or name](c)
    end
  ]]):format(table.concat(lines, "\n"))
end

local p

-- A capsule whose further calls all meet the fault of that name.
local function capsule_with(fault)
  local client = assert(wrenn.Client(p:options({ retries = 0,
    base_url = p.url .. "/ok" })))
  local capsule = assert(wrenn.Capsule.connect("cl-1", { client = client }))
  client.settings.base_url = p.url .. "/" .. fault
  return capsule
end

setup(function()
  p = peer.start(peer_script())
end)

teardown(function()
  p:stop()
end)

for name, operation in pairs(operations) do
  describe("the operation " .. name, function()
    for i, fault in ipairs(faults) do
      it("survives " .. fault[1], function()
        local capsule = capsule_with(i)
        local settings = capsule.client.settings
        settings.timeout = fault[4] and 0.05 or 5
        settings.connect_timeout = settings.timeout
        -- A command has its own limit, and ten seconds for the way.
        local begin = core.now()
        local result, err = wrenn.task.with_timeout(fault[4] and 0.2 or 5,
          function()
            return operation(capsule)
          end)
        assert.is_true(core.now() - begin < 3)
        assert.is_nil(result)
        assert.is_true(wrenn.errors.is_error(err))
        assert.is_true(err:is(expected(name, fault)), tostring(err))
      end)
    end

    it("takes no garbage for an answer", function()
      local result, err = operation(capsule_with("garbage_body"))
      if opaque[name] then
        assert.is_nil(err)
      else
        assert.is_nil(result)
        assert.is_true(err:is("ProtocolError"), tostring(err))
      end
    end)

    it("is refused, or finds no host, at once", function()
      local capsule = capsule_with("ok")
      for _, base in ipairs({ "http://127.0.0.1:1",
        "http://no-such-host.invalid" }) do
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
    local before
    for round = 1, 12 do
      for _, i in ipairs({ 1, 2, 3, 4, #faults }) do
        local capsule = capsule_with(i)
        for name, operation in pairs(operations) do
          assert.is_nil((operation(capsule)), name)
        end
      end
      collectgarbage()
      collectgarbage()
      if round == 4 then
        before = compat.count_fds()
      end
    end
    local deadline = core.now() + 2
    while compat.count_fds() > before and core.now() < deadline do
      wrenn.task.sleep(0.05)
    end
    assert.is_true(compat.count_fds() < before + 4)
  end)
end)
