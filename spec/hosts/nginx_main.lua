-- The functions behind the locations of nginx.conf.

local core = require("wrenn.core")
local figures = require("spec.hosts.figures")
local ngx = require("ngx")
local wrenn = require("wrenn")

local M = {}

--- Tries a call in this phase; returns its error.
function M.try()
  local ok, err = wrenn.Capsule.list({
    base_url = "http://127.0.0.1:1", api_key = "wrn_none",
  })
  return not ok and err or nil
end

--- Disables the relay if the environment says so.
function M.configure()
  if os.getenv("RELAY") == "no" then
    wrenn.task.use("openresty", { relay = false })
  end
end

function M.refusal()
  local err = M.try()
  return err and err.type .. " " .. err.message
end

--- The results of init_by_lua, of set_by_lua and of a task spawned here.
function M.phases()
  local refused = rawget(_G, "refused") or _G.refused
  ngx.say("init ", tostring(refused[1]))
end

function M.measure()
  require("spec.hosts.measure")({
    sleep = ngx.sleep, spawn = ngx.thread.spawn,
    kill = function(fn, begun)
      local thread = ngx.thread.spawn(fn)
      begun()
      ngx.thread.kill(thread)
    end,
    print = function(line)
      ngx.say(line)
      ngx.flush(true)
    end,
  }, ngx.unescape_uri(ngx.var.arg_parts))
end

local function add(name)
  local capsule = wrenn.check(wrenn.Capsule.connect(ngx.var.arg_id))
  local seen = ngx.ctx.seen or ""
  local result = wrenn.check(capsule.commands:run("printf " .. name))
  local _, err = wrenn.task.with_timeout(0.5, function()
    ngx.ctx = { seen = seen } -- a limit holds on to the request, not to this
    wrenn.task.sleep(0.01)
    ngx.ctx.seen = seen .. result.stdout .. "/"
    return capsule.commands:run("sleep 20")
  end)
  assert(err:is("TimeoutError") and not err.result)
end

--- Runs a command in a phase before the answer, and in a timer.
function M.early(phase)
  if phase ~= "timer" then
    return add(phase)
  end
  local id = ngx.var.arg_id
  local semaphore = require("ngx.semaphore").new(0)
  local printed
  ngx.timer.at(0, function()
    local capsule = wrenn.check(wrenn.Capsule.connect(id))
    printed = wrenn.check(capsule.commands:run("printf timer")).stdout
    semaphore:post(1)
  end)
  semaphore:wait(60)
  ngx.print(ngx.ctx.seen, printed)
end

--- Runs ?cmd= in the capsule ?id= and says which worker did.
function M.run()
  local capsule = wrenn.check(wrenn.Capsule.connect(ngx.var.arg_id))
  local result = wrenn.check(capsule.commands:run(
    ngx.unescape_uri(ngx.var.arg_cmd)))
  ngx.print(ngx.worker.pid(), " ", result.stdout)
end

--- Waits for a silent stream until the client disconnects.
function M.held()
  local capsule = wrenn.check(wrenn.Capsule.connect(ngx.var.arg_id))
  for _ in wrenn.check(capsule.commands:connect("held")) do
    ngx.say("held")
    ngx.flush(true)
  end
end

-- A capsule that exists during the call of a function.
local function with_capsule(fn)
  local capsule = wrenn.check(wrenn.Capsule.create({ wait = true }))
  return wrenn.with(capsule, fn)
end

--- Uses a capsule until the client disconnects.
function M.kept()
  with_capsule(function(capsule)
    ngx.say(capsule.id)
    ngx.flush(true)
    wrenn.task.with_timeout(0.5, function()
      capsule.commands:run("sleep 60")
    end)
  end)
end

--- Creates capsules repeatedly.
function M.made()
  ngx.say("begun")
  ngx.flush(true)
  while true do
    with_capsule(function() end)
  end
end

--- Leaves in the middle by a function of nginx that does not return.
function M.left()
  with_capsule(function(capsule)
    ngx.say(capsule.id)
    ngx.exit(ngx.OK)
  end)
end

--- Holds a capsule while waiting for something of nginx.
function M.asleep()
  with_capsule(function(capsule)
    ngx.say(capsule.id)
    ngx.flush(true)
    ngx.sleep(60)
  end)
end

--- Kills a thread that holds a capsule, and continues.
function M.ended()
  local thread = ngx.thread.spawn(with_capsule, function(capsule)
    capsule.commands:run("sleep 60")
  end)
  ngx.sleep(0.3)
  ngx.thread.kill(thread)
  ngx.print("went on")
end

--- Measures the time from input to echo of a terminal, in microseconds, without
--- that for which this process had no processor.
function M.echo()
  with_capsule(function(capsule)
    local term = wrenn.check(capsule:pty({ cmd = "/bin/cat" }))
    local times = {}
    wrenn.check(term:read())
    for i = 1, 200 do
      local begin = core.now() - figures.delayed()
      wrenn.check(term:write("x"))
      repeat
        local ev = wrenn.check(term:read())
      until ev.type == "output"
      times[i] = (core.now() - figures.delayed() - begin) * 1e6
    end
    table.sort(times)
    ngx.say("echo_us ", math.floor(times[100]))
  end)
end

return M
