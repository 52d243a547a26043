-- Selects the host: the event loop of the program, on which calls wait.
--
-- A host is a table with
--  name
--  block(loop, pending)  waits in place; true, or nil and a code or an error.
--                        `pending`: whether the loop has operations
-- and, when it has a loop of its own,
--  can_start()    true, or nil, err where nothing may be started
--  fiber(co)      the fiber of the running coroutine, see waiter.lua; or nil,
--                 err. is_stale(), if it has this method: the coroutine has
--                 been reused for something else
--  watch(loop)    starts to step the loop whenever that is necessary
--  watch_timer(loop)  the same, when nobody waits but a timer has to fire
--  run_soon()     schedules a call of scheduler.run_ready
--  holds          whether the scheduler takes Ctrl-C for itself while it does not
--                 wait, see scheduler.lua
--  kills          whether it ends threads half-way, without notice
--  spawn(body, outlives)  runs a function in a thread of the host, which
--                 outlives the caller's context if `outlives` is true; returns
--                 its fiber
--  is_wait(...)   whether a yield of these values is a wait
--  stayed_behind()  whether this is a forked child that must not touch the
--                 host's loop: its calls wait in place
--  report(err)    reports the error of a task that nobody waits for

local poll = require("wrenn.task.hosts.poll")
local fiber = require("wrenn.task.fiber")

local hosts = {}

local scheduler
local chosen
local loaded = {}
local present = package.loaded -- by require, of the whole program

local modules = {
  poll = "wrenn.task.hosts.poll",
  uv = "wrenn.task.hosts.uv",
  cqueues = "wrenn.task.hosts.cqueues",
  copas = "wrenn.task.hosts.copas",
  openresty = "wrenn.task.hosts.openresty",
}

--- Passes the scheduler to the hosts.
function hosts.serve(one)
  scheduler = one
end

local function load(name)
  local host = loaded[name]
  if not host then
    host = require(modules[name])
    if host.serve then
      host.serve(scheduler)
    end
    loaded[name] = host
  end
  return host
end

--- Selects a host by name; returns false if there is none of that name.
function hosts.use(name, opts)
  if not modules[name] then
    return false
  end
  chosen = load(name)
  if chosen.configure then
    chosen.configure(opts or {})
  end
  return true
end

-- Detection only looks at loaded modules and loads none.
local function detect()
  local vim, copas = rawget(_G, "vim"), present.copas
  if present.ngx and present.ngx.get_phase then
    chosen = load("openresty")
  elseif vim and vim.schedule then
    chosen = load("uv")
  elseif present.cqueues and present.cqueues.running() then
    return load("cqueues")
  elseif copas and type(copas) == "table" and copas.running then
    return load("copas")
  end
  return chosen or poll
end

--- Returns the current host.
function hosts.here()
  return chosen or detect()
end

function hosts.can_start()
  local host = chosen or detect()
  if host.can_start then
    return host.can_start()
  end
  return true
end

function hosts.fiber(co)
  local host = hosts.here()
  if host.fiber then
    return host.fiber(co)
  end
end

function hosts.watch(loop)
  local host = hosts.here()
  if loop and host.watch then
    host.watch(loop)
  end
end

function hosts.watch_timer(loop)
  local host = hosts.here()
  if host.watch_timer then
    host.watch_timer(loop)
  end
end

function hosts.stayed_behind()
  local host = hosts.here()
  return host.stayed_behind ~= nil and host.stayed_behind()
end

function hosts.run_soon()
  local host = hosts.here()
  if host.run_soon then
    host.run_soon()
  end
end

function hosts.is_wait(...)
  if (...) == fiber.WAIT then
    return true
  end
  local host = hosts.here()
  return host.is_wait ~= nil and host.is_wait(...)
end

return hosts
