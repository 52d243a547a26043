-- Every public operation, by name: a function of a capsule that returns its
-- result, or nil, err. The second value of a field says how it has to be met:
--   bytes   its answer is bytes, which it does not look at
--   command it runs a command, which has a limit of its own
--   jupyter it asks Jupyter
--   exists  a 404 is an answer
--   order   an answer without content will do
--   port    it asks a port of the capsule, whose statuses are no errors
--   upgrade it opens a WebSocket
--   sse     it reads events, until the connection is lost
--   asks_first  it sends a request before that
--   thin    it goes the same way as many others: the faults are shared out
--   fine    names of faults, or shapes, that are none to it

local compat = require("spec.support.compat")
local runner = require("wrenn.code_runner")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local operations = {}

local function op(name, fn, options)
  local self = { name = name, run = fn }
  for key, value in pairs(options or {}) do
    self[key] = value
  end
  operations[#operations + 1] = self
end

local directory -- for local files

--- Where the operations put local files.
function operations.use_directory(path)
  directory = path
end

local function by(c)
  return { client = c.client }
end

-- A call's options with its own limit: that of the client, which is far off
-- where something answers at once.
local function limited(c, options)
  local all = { timeout = c.client.settings.timeout }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return all
end

-- Reads to the end; a success only if the end was told.
local function to_the_end(object, err)
  if not object then
    return nil, err
  end
  repeat
    local event, why = object:read()
    err = why
  until not event
  object:close()
  return object.exit_code or object.close_code, err or object.err
end

-- ---- the client -------------------------------------------------------------

local EMPTY = { ["{}"] = true }
local LIST = { ["[]"] = true }
local ORDER = { order = true }

op("client:health", function(c) return c.client:health() end,
  { fine = EMPTY })
op("capsules:create", function(c) return c.client.capsules:create() end)
op("capsules:list", function(c) return c.client.capsules:list() end,
  { fine = LIST })
op("capsules:get", function(c) return c.client.capsules:get(c.id) end)
op("capsules:destroy", function(c) return c.client.capsules:destroy(c.id) end,
  ORDER)
op("capsules:pause", function(c) return c.client.capsules:pause(c.id) end)
op("capsules:resume", function(c) return c.client.capsules:resume(c.id) end)
op("capsules:ping", function(c) return c.client.capsules:ping(c.id) end, ORDER)
op("capsules:stats", function(c) return c.client.capsules:stats() end,
  { fine = EMPTY })
op("capsules:usage", function(c) return c.client.capsules:usage() end,
  { fine = EMPTY })
op("capsules:metrics", function(c)
  return c.client.capsules:metrics(c.id)
end, { fine = EMPTY })
op("snapshots:list", function(c) return c.client.snapshots:list() end,
  { fine = { ["[]"] = true, ["{}"] = true, ["[{}]"] = true } })
op("snapshots:create", function(c)
  return c.client.snapshots:create(c.id, limited(c))
end)
op("snapshots:delete", function(c)
  return c.client.snapshots:delete("x")
end, ORDER)
op("snapshots:rename", function(c)
  return c.client.snapshots:rename("x", "y")
end, ORDER)
op("snapshots:set_visibility", function(c)
  return c.client.snapshots:set_visibility("x", true)
end, ORDER)
op("volumes:create", function(c)
  return c.client.volumes:create({ name = "x" })
end)
op("volumes:list", function(c) return c.client.volumes:list() end,
  { fine = LIST })
op("volumes:get", function(c) return c.client.volumes:get("x") end)
op("volumes:delete", function(c) return c.client.volumes:delete("x") end,
  ORDER)
op("events:stream", function(c)
  return to_the_end(c.client.events:stream({ reconnect_timeout = 0 }))
end, { sse = true })

-- ---- capsules ---------------------------------------------------------------

op("Capsule.create", function(c) return Capsule.create(by(c)) end)
op("Capsule.create, wait", function(c)
  return Capsule.create({ client = c.client, wait = true,
    wait_timeout = c.client.settings.timeout })
end)
op("Capsule.connect", function(c)
  return Capsule.connect(c.id, { client = c.client,
    wait_timeout = c.client.settings.timeout })
end)
op("Capsule.list", function(c) return Capsule.list(by(c)) end,
  { fine = LIST })
op("destroy", function(c) return c:destroy() end, ORDER)
op("destroy, wait", function(c)
  return c:destroy(limited(c, { wait = true }))
end)
op("pause", function(c) return c:pause() end)
op("pause, wait", function(c)
  return c:pause(limited(c, { wait = true }))
end)
op("resume", function(c) return c:resume() end)
op("resume, wait", function(c)
  return c:resume(limited(c, { wait = true }))
end)
op("get_info", function(c) return c:get_info() end)
op("ping", function(c) return c:ping() end, ORDER)
op("wait_ready", function(c) return c:wait_ready(limited(c)) end)
op("is_running", function(c) return c:is_running() end)
op("create_snapshot", function(c)
  return c:create_snapshot(limited(c))
end)
op("metrics", function(c) return c:metrics() end, { fine = EMPTY })
op("request", function(c) return c:request(80) end, { port = true })

-- ---- commands ---------------------------------------------------------------

local RUN = { command = true }
local THIN = { command = true, thin = true }

local function run_with(options)
  return function(c)
    return c.commands:run("x", limited(c, options))
  end
end

op("run", run_with({}), RUN)
op("run, args", run_with({ args = { "y" } }), THIN)
op("run, check", run_with({ check = true }), THIN)
op("run, envs and cwd", run_with({ envs = { A = "b" }, cwd = "/x" }), THIN)
op("run, stdin", run_with({ stdin = ("y"):rep(70000) }), RUN)
op("run, user", run_with({ user = "bob" }), RUN)
op("run, background", function(c)
  return c.commands:run("x", { background = true })
end)
op("run, durable", function(c)
  return c.commands:run("x", { background = true, durable = true })
end, RUN)
op("durable", function(c) return c.commands:durable("t") end, RUN)
op("processes", function(c) return c.commands:list() end,
  { fine = EMPTY })
op("kill", function(c) return c.commands:kill(5) end, ORDER)
op("kill, tree", function(c) return c.commands:kill(5, { tree = true }) end,
  RUN)
for name, fn in pairs({
  wait = function(handle) return handle:wait() end,
  kill = function(handle) return handle:kill() end,
  remove = function(handle) return handle:remove() end,
}) do
  op("durable:" .. name, function(c)
    return fn(c.durable)
  end, name == "remove" and ORDER or RUN)
end

-- ---- files ------------------------------------------------------------------

local BYTES = { bytes = true }

op("read", function(c) return c.files:read("/x") end, BYTES)
op("write", function(c) return c.files:write("/x", ("y"):rep(70000)) end,
  ORDER)
op("list", function(c) return c.files:list("/x") end)
op("stat", function(c) return c.files:stat("/x") end, RUN)
op("exists", function(c) return c.files:exists("/x") end, { exists = true })
op("make_dir", function(c) return c.files:make_dir("/x") end)
op("remove", function(c) return c.files:remove("/x") end, ORDER)
op("rename", function(c) return c.files:rename("/x", "/y") end, RUN)
op("copy", function(c) return c.files:copy("/x", "/y") end, RUN)
op("chmod", function(c) return c.files:chmod("/x", 420) end, RUN)
op("write_files", function(c)
  return c.files:write_files({ { path = "/x", data = "y" },
    { path = "/z", data = "y" } })
end, ORDER)
op("upload_stream", function(c)
  return c.files:upload_stream("/x", { ("y"):rep(70000), "z" })
end, ORDER)
op("upload_stream of a function", function(c)
  local left = 3
  return c.files:upload_stream("/x", function()
    left = left - 1
    return left > 0 and ("y"):rep(30000) or nil
  end)
end, ORDER)
op("download_stream", function(c)
  local download, err = c.files:download_stream("/x")
  if not download then
    return nil, err
  end
  local parts = {}
  repeat
    local piece
    piece, err = download:read()
    parts[#parts + 1] = piece
  until not piece
  return not err and table.concat(parts) or nil, err
end, BYTES)
op("download", function(c, number)
  return c.files:download("/x", directory .. "/down" .. number)
end, BYTES)
op("upload", function(c)
  return c.files:upload("spec/faults_spec.lua", "/x")
end, ORDER)
op("download_dir", function(c, number)
  return c.files:download_dir("/x", directory .. "/dir" .. number)
end, RUN)
op("upload_dir", function(c)
  return c.files:upload_dir("spec/support/wire", "/x")
end, RUN)

-- ---- git --------------------------------------------------------------------

local function git(name, ...)
  local args = { ... }
  local options = table.remove(args)
  op("git:" .. name, function(c)
    local all = { compat.unpack(args) }
    all[#all + 1] = limited(c, options)
    return c.git[name](c.git, compat.unpack(all))
  end, THIN)
end

local IN = { cwd = "/x" }
git("init", "/x", {})
git("clone", "https://u:secret123@h.invalid/x", "/x", {})
git("add", { "a" }, IN)
git("commit", "m", IN)
git("push", "origin", "main", IN)
git("pull", "origin", "main", IN)
git("fetch", "origin", "main", IN)
git("status", IN)
git("branches", IN)
git("create_branch", "b", IN)
git("checkout_branch", "b", IN)
git("delete_branch", "b", IN)
git("remote_add", "o", "https://h.invalid/x", IN)
git("remote_get", "o", IN)
git("reset", IN)
git("restore", { "a" }, IN)
git("set_config", "a.b", "c", IN)
git("get_config", "a.b", IN)
git("configure_user", "n", "e@x", IN)
git("log", IN)
git("diff", IN)
op("git:dangerously_authenticate", function(c)
  return c.git:dangerously_authenticate("u", "secret123",
    limited(c, { host = "h.invalid" }))
end, THIN)

-- ---- code -------------------------------------------------------------------

local JUPYTER = { jupyter = true }

op("code.connect", function(c)
  return runner.Capsule.connect(c.id, { client = c.client,
    wait_timeout = c.client.settings.timeout })
end)
op("code.create", function(c) return runner.Capsule.create(by(c)) end)
op("run_code", function(c)
  return c.code:run_code("1", { timeout = 1, jupyter_timeout = 20 })
end, JUPYTER)
op("list_contexts", function(c) return c.code:list_contexts() end,
  { jupyter = true, fine = LIST })
op("create_context", function(c) return c.code:create_context() end, JUPYTER)
local KERNEL = { jupyter = true, order = true }
op("restart_context", function(c) return c.code:restart_context("k") end,
  KERNEL)
op("interrupt_context", function(c) return c.code:interrupt_context("k") end,
  KERNEL)
op("remove_context", function(c) return c.code:remove_context("k") end, KERNEL)

-- ---- WebSockets -------------------------------------------------------------

local UPGRADE = { upgrade = true }

op("stream", function(c) return to_the_end(c.commands:stream("x")) end,
  UPGRADE)
op("stream:wait", function(c)
  local stream, err = c.commands:stream("x")
  if not stream then
    return nil, err
  end
  return stream:wait()
end, UPGRADE)
op("connect", function(c) return to_the_end(c.commands:connect(5)) end,
  UPGRADE)
op("run, on_stdout", function(c)
  return c.commands:run("x", limited(c, { on_stdout = function() end }))
end, UPGRADE)
op("pty", function(c) return to_the_end(c:pty()) end, UPGRADE)
op("pty, binary", function(c)
  return to_the_end(c:pty({ encoding = "binary" }))
end, UPGRADE)
op("pty_connect", function(c) return to_the_end(c:pty_connect("t")) end,
  { upgrade = true, asks_first = true })
op("watch", function(c) return to_the_end(c.files:watch("/x")) end, UPGRADE)
op("websocket", function(c) return to_the_end(c:websocket(80)) end,
  { upgrade = true, port = true })

return operations
