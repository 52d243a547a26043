-- Every public call and every way a server can keep it waiting: a limit around
-- it, or its cancelling, ends it in time, whatever is left to tidy up.

local core = require("wrenn.core")
local figures = require("spec.hosts.figures")
local peer = require("spec.support.peer")
local scheduler = require("wrenn.task.scheduler")
local wrenn = require("wrenn")

local Capsule, task = wrenn.Capsule, wrenn.task

-- A server that was asked for a capsule only: what it says to anything else.
local OPEN = [[
  local req = c:request()
  if req and req.headers.upgrade then c:upgrade(req) c:sleep(60) end
]]
local peers = {
  ["accepts and says nothing"] = "c.sock:read_stop() c:sleep(60)",
  ["silent before the head"] = "c:request() c:sleep(60)",
  ["silent in the head"] = [[
    c:request() c:send("HTTP/1.1 200 OK\r\nX: ") c:sleep(60)
  ]],
  ["silent in the body"] = OPEN .. [[
    c:send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{") c:sleep(60)
  ]],
  ["a body that drips"] = OPEN .. [[
    c:send("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{")
    for i = 1, 600 do c:send(" ") c:sleep(0.1) end
  ]],
  ["messages that drip"] = [[
    local req = c:request()
    if not req or not req.headers.upgrade then return c:sleep(60) end
    c:upgrade(req)
    for i = 1, 600 do
      c:text(req.path:find("/pty") and '{"type":"output","data":"YQ=="}'
        or '{"type":"stdout","data":"a"}')
      c:sleep(0.1)
    end
  ]],
}

-- Makes the rest of a call of what it gives: what is opened is read.
local function reading(object, err)
  while object do
    local piece
    piece, err = object:read()
    if piece == nil then
      object:close()
      return nil, err
    end
  end
  return nil, err
end

local function ignore() end

-- name, function(capsule, code capsule, client, folder)
local calls = {
  { "Capsule.create", function(_, _, client)
    return Capsule.create({ client = client })
  end },
  { "Capsule.create wait", function(_, _, client)
    return Capsule.create({ client = client, wait = true })
  end },
  { "Capsule.connect", function(_, _, client)
    return Capsule.connect("cl-1", { client = client })
  end },
  { "Capsule.list", function(_, _, client)
    return Capsule.list({ client = client })
  end },
  { "capsule:request", function(c) return c:request(80) end },
  { "capsule:websocket", function(c)
    return reading(c:websocket(80))
  end },
  { "capsule:pty", function(c) return reading(c:pty()) end },
  { "capsule:pty user", function(c) return reading(c:pty({ user = "u" })) end },
  { "pty:write", function(c)
    local term, err = c:pty()
    if not term then
      return nil, err
    end
    local ok
    repeat
      ok, err = term:write(("x"):rep(64 * 1024))
    until not ok
    term:close()
    return ok, err
  end },
  { "pty in a scope", function(c)
    local term, err = c:pty()
    if not term then
      return nil, err
    end
    return wrenn.with(term, function() return reading(term) end)
  end },
  { "capsule:pty_connect", function(c) return reading(c:pty_connect("t")) end },
  { "create_snapshot", function(c)
    return c:create_snapshot({ name = "a" })
  end },
  { "create_snapshot wait", function(c)
    return c:create_snapshot({ wait = true })
  end },
  { "capsule:metrics", function(c) return c:metrics() end },
  { "with", function(c)
    c.owned = core.pid()
    return wrenn.with(c, function() return c:get_info() end)
  end },

  { "run", function(c) return c.commands:run("x") end },
  { "run for ever", function(c)
    return c.commands:run("x", { timeout = false })
  end },
  { "run cwd", function(c)
    return c.commands:run("x", { cwd = "/x", envs = { A = "b" } })
  end },
  { "run user", function(c) return c.commands:run("x", { user = "u" }) end },
  { "run stdin", function(c)
    return c.commands:run("x", { stdin = "text" })
  end },
  { "run callbacks", function(c)
    return c.commands:run("x", { on_stdout = ignore })
  end },
  { "run callbacks envs", function(c)
    return c.commands:run("x", { on_stdout = ignore, envs = { A = "b" } })
  end },
  { "run background", function(c)
    return c.commands:run("x", { background = true, timeout = 1 })
  end },
  { "run durable", function(c)
    return c.commands:run("x", { background = true, durable = true })
  end },
  { "durable", function(c) return c.commands:durable("t") end },
  { "stream", function(c) return reading(c.commands:stream("x")) end },
  { "stream:wait", function(c)
    local stream, err = c.commands:stream("x", { timeout = 20 })
    if not stream then
      return nil, err
    end
    local result, why = stream:wait()
    stream:close()
    return result, why
  end },
  { "stream envs", function(c)
    return reading(c.commands:stream("x", { envs = { A = "b" } }))
  end },
  { "stream stdin", function(c)
    return reading(c.commands:stream("x", { stdin = "text" }))
  end },
  { "commands:connect", function(c) return reading(c.commands:connect(5)) end },
  { "commands:connect tag", function(c)
    return reading(c.commands:connect("5"))
  end },
  { "commands:list", function(c) return c.commands:list() end },
  { "commands:kill", function(c) return c.commands:kill(5) end },
  { "commands:kill tree", function(c)
    return c.commands:kill(5, { tree = true })
  end },

  { "files:read", function(c) return c.files:read("a") end },
  { "files:write", function(c) return c.files:write("a", "b") end },
  { "files:write large", function(c)
    return c.files:write("a", ("x"):rep(3000000))
  end },
  { "files:list", function(c) return c.files:list("/") end },
  { "files:exists", function(c) return c.files:exists("/a") end },
  { "files:stat", function(c) return c.files:stat("/a") end },
  { "files:stat /", function(c) return c.files:stat("/") end },
  { "files:make_dir", function(c) return c.files:make_dir("/a") end },
  { "files:remove", function(c) return c.files:remove("/a") end },
  { "files:rename", function(c) return c.files:rename("/a", "/b") end },
  { "files:copy", function(c) return c.files:copy("/a", "/b") end },
  { "files:chmod", function(c) return c.files:chmod("/a", "600") end },
  { "files:write_files", function(c)
    return c.files:write_files({ { path = "a", data = "b" } })
  end },
  { "files:download_stream", function(c)
    return reading(c.files:download_stream("/a"))
  end },
  { "files:upload_stream", function(c)
    return c.files:upload_stream("/a", { "b", "c" })
  end },
  { "files:upload_stream large", function(c)
    local left = 100
    return c.files:upload_stream("/a", function()
      left = left - 1
      return left > 0 and ("x"):rep(100000) or nil
    end)
  end },
  { "files:download", function(c, _, _, folder)
    return c.files:download("/a", folder .. "/got", { verify = true })
  end },
  { "files:upload", function(c, _, _, folder)
    return c.files:upload(folder .. "/have", "/a", { verify = true })
  end },
  { "files:download_dir", function(c, _, _, folder)
    return c.files:download_dir("/a", folder .. "/dir")
  end },
  { "files:upload_dir", function(c, _, _, folder)
    return c.files:upload_dir(folder, "/a")
  end },
  { "files:watch", function(c) return reading(c.files:watch("/a")) end },

  { "git:clone", function(c) return c.git:clone("http://h/r.git") end },
  { "git:status", function(c) return c.git:status() end },
  { "git:push", function(c)
    return c.git:push({ username = "u", password = "p" })
  end },
  { "git:configure_user", function(c)
    return c.git:configure_user("a", "b")
  end },

  { "run_code", function(_, code) return code:run_code("1") end },
  { "create_context", function(_, code) return code:create_context() end },
  { "list_contexts", function(_, code) return code:list_contexts() end },
  { "restart_context", function(_, code)
    return code:restart_context("k")
  end },
  { "interrupt_context", function(_, code)
    return code:interrupt_context("k")
  end },
  { "remove_context", function(_, code) return code:remove_context("k") end },

  { "client:health", function(_, _, client) return client:health() end },
  { "capsules:stats", function(_, _, client)
    return client.capsules:stats()
  end },
  { "capsules:usage", function(_, _, client)
    return client.capsules:usage()
  end },
  { "snapshots:list", function(_, _, client)
    return client.snapshots:list()
  end },
  { "snapshots:delete", function(_, _, client)
    return client.snapshots:delete("a")
  end },
  { "snapshots:rename", function(_, _, client)
    return client.snapshots:rename("a", "b")
  end },
  { "snapshots:set_visibility", function(_, _, client)
    return client.snapshots:set_visibility("a", true)
  end },
  { "volumes:create", function(_, _, client)
    return client.volumes:create()
  end },
  { "volumes:list", function(_, _, client) return client.volumes:list() end },
  { "volumes:get", function(_, _, client)
    return client.volumes:get("a")
  end },
  { "volumes:delete", function(_, _, client)
    return client.volumes:delete("a")
  end },
  { "events:stream", function(_, _, client)
    return reading(client.events:stream())
  end },
}
for _, name in ipairs({ "destroy", "pause", "resume" }) do
  calls[#calls + 1] = { "capsule:" .. name, function(c)
    return c[name](c)
  end }
  calls[#calls + 1] = { "capsule:" .. name .. " wait", function(c)
    return c[name](c, { wait = true })
  end }
end
for _, name in ipairs({ "get_info", "ping", "wait_ready", "is_running" }) do
  calls[#calls + 1] = { "capsule:" .. name, function(c)
    return c[name](c)
  end }
end

local LIMIT, LATE = 0.2, 0.5
local AT_ONCE = 24
-- A busy machine holds up everything at times: what it has taken does not count,
-- and what was late is tried again.
local ROUNDS = 3
-- Of a call of the client's, so also of a creation that was broken off.
local CALL_LIMIT = 4

local ways = {
  ["a limit"] = { "TimeoutError", function(call)
    local begin = core.now()
    local ok, err = task.with_timeout(LIMIT, call)
    return ok, err, core.now() - begin
  end },
  cancelling = { "CancelledError", function(call)
    local begin = core.now()
    local one = task.spawn(call)
    task.sleep(LIMIT)
    one:cancel()
    local ok, err = one:wait()
    return ok, err, core.now() - begin
  end },
}

describe("a call of a server that says nothing or too little", function()
  local good, bad, folder

  setup(function()
    good, bad = peer.answering({ 200, '{"id":"cl-1","status":"running"}' }), {}
    for name, script in pairs(peers) do
      bad[name] = peer.start(script)
    end
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder .. " && echo x >" .. folder .. "/have")
    -- What is opened once stays open.
    assert(wrenn.Client(good:options())):health()
  end)

  teardown(function()
    good:stop()
    for _, p in pairs(bad) do
      p:stop()
    end
    os.execute("rm -r " .. folder)
  end)

  local function connect(p)
    local client = assert(wrenn.Client(p:options({ timeout = CALL_LIMIT })))
    client.settings.base_url = good.url
    local capsule = assert(Capsule.connect("cl-1", { client = client }))
    local code = assert(wrenn.code_runner.Capsule.connect("cl-1",
      { client = client }))
    client.settings.base_url = p.url
    return client, capsule, code
  end

  -- A capsule that `with` may destroy without the others being told.
  local function own(capsule)
    return setmetatable({}, {
      __index = capsule, __close = getmetatable(capsule).__close,
    })
  end

  for way, rule in pairs(ways) do
    it("ends in time by " .. way, function()
      local open = figures.count_fds()
      local cells, clients = {}, {}
      for name, p in pairs(bad) do
        local client, capsule, code = connect(p)
        clients[#clients + 1] = client
        for _, call in ipairs(calls) do
          cells[#cells + 1] = { call[1] .. ", " .. name, function()
            return call[2](own(capsule), code, client, folder)
          end }
        end
      end
      local count, wrong = #cells, nil
      for _ = 1, ROUNDS do
        local again = {}
        wrong = {}
        assert(task.map(cells, function(cell)
          local delayed = figures.delayed()
          local ok, err, took = rule[2](cell[2])
          took = took - (figures.delayed() - delayed)
          if ok or not (err and err.type == rule[1]) or took > LIMIT + LATE then
            again[#again + 1] = cell
            wrong[#wrong + 1] = ("%s: %s, %s after %.2f s"):format(cell[1],
              tostring(ok), tostring(err), took)
          end
          return true
        end, { concurrency = AT_ONCE }))
        cells = again
      end
      assert.are.same({}, wrong)
      assert.is_true(count > 450, count)
      for _, client in ipairs(clients) do
        client:close()
      end
      -- What is tidied up in the background has a limit of its own.
      local deadline = core.now() + 15
      while (scheduler.is_open() or scheduler.is_busy()
        or figures.count_fds() > open) and core.now() < deadline
      do
        task.sleep(0.1)
      end
      assert.is_true(core.now() < deadline)
      assert.is_false(scheduler.is_busy())
    end)
  end
end)

describe("what a call looks up besides", function()
  local p

  after_each(function()
    p:stop()
  end)

  for name, call in pairs({
    ["a user"] = function(c) return c.commands:run("x", { user = "u" }) end,
    ["a durable command"] = function(c) return c.commands:durable("t") end,
    ["a place for an environment"] = function(c)
      return c.commands:stream("x", { envs = { A = "b" } })
    end,
  }) do
    it("has the client's limit: " .. name, function()
      p = peer.start([[
        while true do
          local req = c:request()
          if not req then return end
          if req.path:find("/exec$") then c:sleep(600) end
          c:respond(200, '{"id":"cl-1","status":"running"}')
        end
      ]])
      local client = assert(wrenn.Client(p:options({ timeout = 1 })))
      local capsule = assert(Capsule.connect("cl-1", { client = client }))
      local begin, before = core.now(), figures.delayed()
      local ok, err = call(capsule)
      assert.is_nil(ok)
      assert.is_true(err:is("TimeoutError"), tostring(err))
      assert.is_true(core.now() - begin - (figures.delayed() - before) < 8)
    end)
  end
end)

it("a download whose bytes stop coming has the client's limit", function()
  local p = peer.start([[
    while true do
      local req = c:request()
      if not req then return end
      if req.path:find("stream/read", 1, true) then
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        c:sleep(600)
      elseif req.path:find("files/list", 1, true) then
        c:respond(200, '{"entries":[{"name":"f","path":"/d/f","type":"file",'
          .. '"size":9,"mode":420,"permissions":"-rw-r--r--","owner":"r",'
          .. '"group":"r","modified_at":1}]}')
      else
        c:respond(200, '{"id":"cl-1","status":"running"}')
      end
    end
  ]])
  local client = assert(wrenn.Client(p:options({ timeout = 1 })))
  local capsule = assert(Capsule.connect("cl-1", { client = client }))
  local begin, before = core.now(), figures.delayed()
  local ended, err = task.with_timeout(60, function()
    local download = assert(capsule.files:download_stream("/d/f"))
    assert.are.equal("abc", download:read())
    return download:read()
  end)
  p:stop()
  assert.is_nil(ended)
  assert.is_true(err:is("TimeoutError"), tostring(err))
  assert.is_true(core.now() - begin - (figures.delayed() - before) < 8)
end)
