-- Every operation and every fault of the way: the right typed error within the
-- deadline, no success that is none, nothing left open. One peer serves all: the
-- first part of the path says which fault it has to commit.

local core = require("wrenn.core")
local expect = require("spec.support.expect")
local figures = require("spec.hosts.figures")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

local HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"
local CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

local function sends(bytes, ending)
  return ("c:send(%q) c:sleep(0.01) c:%s"):format(bytes, ending or "close()")
end

local function head_with(line)
  return sends("HTTP/1.1 200 OK\r\n" .. line .. "\r\n\r\n" .. '{"id":"cl-1"}')
end

-- Sends the first part, then the second over and over for a minute.
local function drips(first, again)
  return ([[
    c:send(%q)
    for i = 1, 300 do c:send(%q) c:sleep(0.2) end
  ]]):format(first, again)
end

-- What the peer does instead of answering, what that has to be, and whether
-- only a deadline ends it.
local faults = {
  { "reset before the answer", "c:reset()", "ConnectionError" },
  { "end before the answer", "c:close()", "ConnectionError" },
  { "reset after the headers", sends(HEAD .. "\r\n", "reset()"),
    "ConnectionError" },
  { "truncated body", sends(HEAD .. "\r\n{}"), "ConnectionError" },
  { "stalled body", ("c:send(%q) c:sleep(60)"):format(HEAD .. "\r\n{"),
    "TimeoutError", true },
  { "silence", "c:sleep(60)", "TimeoutError", true },
  { "garbage", sends("garbage\r\n\r\n"), "ProtocolError" },
  { "redirect", 'c:respond(302, "", {"Location: http://127.0.0.1:1/"})',
    "ProtocolError" },
  { "HTML with 502", 'c:respond(502, "<html>no</html>")', "AgentError" },
}

-- The same of answers that only a request can meet: an upgrade has a reader of
-- its own.
local request_faults = {
  { "end inside the status line", sends("HTTP/1.1 2"), "ConnectionError" },
  { "end inside the head", sends(HEAD), "ConnectionError" },
  { "reset inside the head", sends(HEAD, "reset()"), "ConnectionError" },
  { "end inside a chunk", sends(CHUNKED .. "9\r\n{}"), "ConnectionError" },
  { "end before the last chunk", sends(CHUNKED .. "2\r\n{}\r\n"),
    "ConnectionError" },
  { "a malformed chunk", sends(CHUNKED .. "zz\r\n{}\r\n0\r\n\r\n"),
    "ProtocolError" },
  { "an upgrade unasked", sends("HTTP/1.1 101 Switching Protocols\r\n"
    .. "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    "ProtocolError" },
  { "HTTP/0.9", sends('{"id":"cl-1"}'), "ProtocolError" },
  { "compression unasked",
    head_with("Content-Encoding: gzip\r\nContent-Length: 13"),
    "ProtocolError" },
  { "two lengths", head_with("Content-Length: 2\r\nContent-Length: 13"),
    "ProtocolError" },
  { "a negative length", head_with("Content-Length: -1"), "ProtocolError" },
  { "a length and chunks",
    head_with("Content-Length: 13\r\nTransfer-Encoding: chunked"),
    "ProtocolError" },
  { "a length beyond 2^63", head_with("Content-Length: 9223372036854775808"),
    "TooLargeError" },
  { "too many headers", head_with(("X: y\r\n"):rep(1000) .. "Z: y"),
    "TooLargeError" },
  { "headers of a mebibyte", head_with(("X: " .. ("y"):rep(1000) .. "\r\n")
    :rep(1000) .. "Z: y"), "TooLargeError" },
  { "a header of 200 KiB", head_with("X: " .. ("y"):rep(200 * 1024)),
    "TooLargeError" },
  { "a status line that drips", drips("HTTP/1.1 200 ", "K"), "TimeoutError",
    true },
  { "headers that drip", drips("HTTP/1.1 200 OK\r\n", "X: y\r\n"),
    "TimeoutError", true },
  { "interim answers that drip", drips("",
    "HTTP/1.1 102 Processing\r\n\r\n"), "TimeoutError", true },
  { "a body that drips", drips("HTTP/1.1 200 OK\r\nContent-Length: 5000"
    .. "\r\n\r\n", " "), "TimeoutError", true },
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
  run = function(c) return c.commands:run("x", { timeout = 1 }) end,
  background = function(c)
    return c.commands:run("x", { background = true })
  end,
  processes = function(c) return c.commands:list() end,
  kill = function(c) return c.commands:kill(5) end,
  resume = function(c) return c:resume() end,
  health = function(c) return c.client:health() end,
  stats = function(c) return c.client.capsules:stats() end,
  usage = function(c) return c.client.capsules:usage() end,
  metrics = function(c) return c:metrics() end,
  snapshots = function(c) return c.client.snapshots:list() end,
  create_snapshot = function(c)
    return c.client.snapshots:create("cl-1",
      { timeout = c.client.settings.timeout })
  end,
  delete_snapshot = function(c) return c.client.snapshots:delete("x") end,
  volumes = function(c) return c.client.volumes:list() end,
  create_volume = function(c)
    return c.client.volumes:create({ name = "x" })
  end,
  delete_volume = function(c) return c.client.volumes:delete("x") end,
  stat = function(c) return c.files:stat("/x") end,
  exists = function(c) return c.files:exists("/x") end,
  download_file = function(c)
    return c.files:download("/x", os.tmpname())
  end,
  upload_file = function(c)
    return c.files:upload("spec/faults_spec.lua", "/x")
  end,
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


-- To a port of the capsule, whose server's statuses are no errors.
operations.request = function(c)
  local fault = c.client.settings.base_url:match("/([%w_]+)$") or "ok"
  return c:request(80, { path = "/" .. fault })
end

local upgrades = {
  stream = function(c) return c.commands:stream("x") end,
  connect = function(c) return c.commands:connect(5) end,
  pty = function(c) return c:pty() end,
}

-- A call that carries bytes does not look at them: garbage is not for it.
local opaque = { read = true, request = true }
-- A 200 is no upgrade, however its body ends.
local for_upgrade = {
  ["truncated body"] = "ProtocolError", ["stalled body"] = "ProtocolError",
}
local exceptions = {
  stream = for_upgrade, connect = for_upgrade, pty = for_upgrade,
  run = { ["504"] = "TimeoutError" }, -- the command's, says the server
}

local function expected(name, fault)
  return (exceptions[name] or {})[fault[1]] or fault[3]
end

-- All of both, with numbers for the peer.
local all_faults = {}
for _, list in ipairs({ faults, request_faults }) do
  for _, fault in ipairs(list) do
    all_faults[#all_faults + 1] = fault
  end
end

local function peer_script()
  local lines = {}
  for i, fault in ipairs(all_faults) do
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
      local name = head:match("^%%S+ /([%%w_]+)")
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

-- ---- cells ------------------------------------------------------------------

local LIMIT = 1 -- of a call whose fault only a deadline ends
local PATIENCE = 20 -- of any other, which must not need it
local SLACK = 5 -- a machine may be busy
local FAR = 90 -- around all: never what ends a call

-- What a call may take beyond the client's own limit: a command has a limit of
-- its own, and ten seconds for the way; what failed is looked into.
local beyond = { run = 12 }
-- These first ask which server it is: it is that which has not arrived.
local asks_first = { kill = true }

-- What is no fault for an operation: bytes take as long as they flow.
local function is_fine(name, fault)
  return name == "read" and fault[1] == "a body that drips"
    or name == "exists" and fault[1] == "404"
    or name == "request" and fault[2]:find("^c:respond") ~= nil
end

local cells = {}

local function add_cells(group, list)
  for name, operation in pairs(group) do
    for i = 1, #list do
      local fault = all_faults[i]
      if not is_fine(name, fault) then
        cells[#cells + 1] = { name = name, run = operation, fault = fault,
          number = i, upgrade = group == upgrades }
      end
    end
  end
end

add_cells(operations, all_faults)
add_cells(upgrades, faults)

local function run_cell(cell)
  local capsule = capsule_with(cell.number)
  local settings = capsule.client.settings
  settings.timeout = cell.fault[4] and LIMIT or PATIENCE
  -- Requests have other limits than that, once a busy peer has let them in.
  settings.connect_timeout = (cell.upgrade or asks_first[cell.name])
    and settings.timeout or PATIENCE
  local begin = core.now()
  cell.result, cell.err = wrenn.task.with_timeout(FAR, function()
    return cell.run(capsule)
  end)
  cell.took = core.now() - begin
  return true
end

-- What is wrong with what came of it; nil when nothing is.
local function complaint(cell)
  local err, fault = cell.err, cell.fault
  local most = fault[4] and 4 * LIMIT + (beyond[cell.name] or 0) or 0
  if cell.result ~= nil then
    return "is a success: " .. tostring(cell.result)
  elseif not wrenn.errors.is_error(err) then
    return "is no error: " .. tostring(err)
  elseif not err:is(expected(cell.name, fault))
    -- A reset may take with it what has come before.
    and not (fault[1] == "reset after the headers" and cell.upgrade
      and err:is("ProtocolError"))
  then
    return "is a " .. tostring(err)
  elseif cell.took > most + SLACK then
    return ("took %.1f s"):format(cell.took)
  elseif expected(cell.name, fault) == "TimeoutError"
    and cell.took < LIMIT * 0.9
    and fault[4]
  then
    return ("took no more than %.2f s"):format(cell.took)
  elseif not cell.upgrade and not asks_first[cell.name] and err.details
    and err.details.kind and err.details.sent ~= true
  then
    return "does not say that the request may have arrived: " .. tostring(err)
  end
end

describe("every operation", function()
  local counts = { [true] = 0, [false] = 0 }
  for _, cell in ipairs(cells) do
    counts[cell.upgrade] = counts[cell.upgrade] + 1
  end

  it(("survives every fault: %d cells of requests, %d of WebSockets")
    :format(counts[false], counts[true]), function()
    assert(wrenn.task.map(cells, run_cell, { concurrency = 64 }))
    local complaints = {}
    for _, cell in ipairs(cells) do
      local what = complaint(cell)
      if what then
        complaints[#complaints + 1] = ("%s, %s: %s"):format(cell.name,
          cell.fault[1], what)
      end
    end
    table.sort(complaints)
    assert.are.equal("", table.concat(complaints, "\n"))
  end)
end)

for name, operation in pairs(upgrades) do
  operations[name] = operation
end

for name, operation in pairs(operations) do
  describe("the operation " .. name, function()
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
        capsule.client.settings.proxy_domain =
          base:gsub("http://", ""):gsub("127.0.0.1", "localhost")
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
          local result = operation(capsule)
          assert.is_true(result == nil or is_fine(name, all_faults[i]), name)
        end
      end
      collectgarbage()
      collectgarbage()
      if round == 4 then
        before = figures.count_fds()
      end
    end
    expect.soon(function()
      return figures.count_fds() < before + 4
    end)
  end)
end)
