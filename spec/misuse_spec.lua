-- Misuse raises an error that names the argument: wrong types, unknown options,
-- methods called without their object.

local peer = require("spec.support.peer")
local wrenn = require("wrenn")

describe("misuse", function()
  local p, capsule

  setup(function()
    p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' })
    capsule = assert(wrenn.Capsule.connect("cl-1", p:options()))
  end)

  teardown(function()
    p:stop()
  end)

  -- name, what is expected in the message, function, arguments...
  local function calls()
    local Capsule, task = wrenn.Capsule, wrenn.task
    local commands, files = capsule.commands, capsule.files
    local client = capsule.client
    return {
      { "'vcpus'", Capsule.create, { vcpus = "2" } },
      { "'tiemout'", Capsule.create, { tiemout = 2 } },
      { "'metadata'", Capsule.create, { metadata = { a = 1 } } },
      { "'volumes'", Capsule.create, { volumes = { 1 } } },
      { "'timeout'", Capsule.create, { timeout = -1 } },
      { "'client'", Capsule.create, { client = {} } },
      { "'opts'", Capsule.create, "x" },
      { "'id'", Capsule.connect, 5 },
      { "'id'", Capsule.connect, "" },
      { "'wait'", Capsule.connect, "cl-1", { wait = true } },
      { "'status'", Capsule.list, { status = 1 } },
      { "'api_key'", Capsule.create, { client = client, api_key = "k" } },
      { "'base_url'", Capsule.list, { client = client, base_url = "x" } },
      { "(a capsule or its id expected, got nil)", Capsule.destroy, nil },
      { "'id' to 'pause'", Capsule.pause, {} },
      { "'nope' to 'is_running'", Capsule.is_running, capsule, { nope = 1 } },
      { "'nope' to 'destroy'", Capsule.destroy, capsule, { nope = 1 } },
      { "'wait'", Capsule.destroy, "cl-1", { wait = 1 } },
      { "'x'", Capsule.pause, capsule, { x = 1 } },
      { "'id'", Capsule.ping, "a\0b" },
      { "'port'", capsule.get_url, capsule, "80" },
      { "'port'", capsule.get_url, capsule, 0 },
      { "'port'", capsule.request, capsule, 65536 },
      { "'port'", capsule.websocket, capsule, -1 },
      { "'scheme'", capsule.get_url, capsule, 80, { scheme = "ftp" } },
      { "'self'", capsule.pty, nil },
      { "'cols'", capsule.pty, capsule, { cols = 0 } },
      { "'rows'", capsule.pty, capsule, { rows = 1e9 } },
      { "'encoding'", capsule.pty, capsule, { encoding = "utf8" } },
      { "'tag'", capsule.pty_connect, capsule, 5 },
      { "'self'", commands.run, "ls" },
      { "'cmd'", commands.run, commands, nil },
      { "'cmd'", commands.run, commands, "" },
      { "'cmd'", commands.run, commands, "a\0b" },
      { "'timeout'", commands.run, commands, "x", { timeout = "5" } },
      { "'timeout'", commands.run, commands, "x", { timeout = true } },
      { "'timeout'", commands.run, commands, "x", { timeout = 0 / 0 } },
      { "'envs'", commands.run, commands, "x", { envs = { "A=b" } } },
      { "'args'", commands.run, commands, "x", { args = { a = "b" } } },
      { "'args'", commands.run, commands, "x", { args = { "a", nil, "c" } } },
      { "'on_stdout'", commands.run, commands, "x", { on_stdout = 1 } },
      { "'background'", commands.run, commands, "x",
        { background = true, check = true } },
      { "'detach'", commands.run, commands, "x", { detach = true } },
      { "'tag'", commands.stream, commands, "x", { tag = "t" } },
      { "'envs'", commands.stream, commands, "x", { envs = { ["A=B"] = "" } } },
      { "'pid_or_tag'", commands.connect, commands, {} },
      { "'pid_or_tag'", commands.connect, commands, 1.5 },
      { "'signal'", commands.kill, commands, 5, { signal = "SIGHUP" } },
      { "'path'", files.read, files, nil },
      { "'path'", files.read, files, "" },
      { "'path'", files.write, files, "a\0b", "x" },
      { "'data'", files.write, files, "/x", 5 },
      { "'depth'", files.list, files, "/x", { depth = 0 } },
      { "'path'", files.exists, files, {} },
      { "'path'", files.make_dir, files, 1 },
      { "'path'", files.remove, files, false },
      { "'source'", files.upload_stream, files, "/x", 5 },
      { "'path'", files.download_stream, files },
      { "'self'", files.read, "/x" },
      { "'retries'", wrenn.Client, { api_key = "k", retries = 1.5 } },
      { "'api_key'", wrenn.Client, { api_key = 5 } },
      { "'user_agent'", wrenn.Client, { api_key = "k", user_agent = "a\nb" } },
      { "'id'", client.capsules.get, client.capsules, nil },
      { "'range'", client.health, client, { range = "1h" } },
      { "'fn'", task.run, 5 },
      { "'fn'", task.spawn, nil },
      { "'fns'", task.gather, 5 },
      { "'fns[1]'", task.gather, { 5 } },
      { "'list'", task.map, nil, print },
      { "'concurrency'", task.map, {}, print, { concurrency = 0 } },
      { "'seconds'", task.sleep, "1" },
      { "'fn'", task.with_timeout, 1, nil },
      { "'host'", task.use, "nowhere" },
      { "'resource'", wrenn.with, {}, print },
      { "'fn'", wrenn.with, capsule, nil },
    }
  end

  it("raises with the name of the argument, at the caller", function()
    for i, call in ipairs(calls()) do
      local ok, err = pcall(function()
        local value = call[2](call[3], call[4], call[5])
        return value
      end)
      assert.is_false(ok, "call " .. i .. " should raise " .. call[1])
      assert.is_truthy(tostring(err):find("misuse_spec.lua:", 1, true),
        "call " .. i .. " should point here: " .. tostring(err))
      assert.is_truthy(tostring(err):find(call[1], 1, true),
        "call " .. i .. " should name " .. call[1] .. ": " .. tostring(err))
    end
    assert.are.equal(1, #p:received())
  end)

  it("a client beside the key and URL that it has is none", function()
    assert(wrenn.Capsule.get_info("cl-1",
      p:options({ client = capsule.client })))
  end)
end)
