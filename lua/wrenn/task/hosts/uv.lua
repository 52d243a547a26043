-- The loop of libuv, in Neovim or luv. A poll handle watches the descriptor. A
-- coroutine waits by yielding, as usual with luv, and is resumed from the loop;
-- in Neovim by vim.schedule, so that it may call all of the API.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local poll = require("wrenn.task.hosts.poll")
local fiber = require("wrenn.task.fiber")

local host = { name = "uv" }

local vim = rawget(_G, "vim")
local uv
local scheduler
local watched, handle, timer
local home -- the process that created the handle
local suspended = 0
local turns = 0
local poked, in_pump = false, false

function host.serve(one)
  scheduler = one
  uv = vim and (vim.uv or vim.loop) or require("luv")
end

-- A forked child shares libuv's kernel queue with its parent.
function host.stayed_behind()
  return home ~= nil and home ~= core.pid()
end

-- The handle keeps uv.run running only while there are waiters.
local function hold()
  if not handle then
    return
  elseif suspended > 0 or scheduler.is_busy() then
    handle:ref()
  else
    handle:unref()
  end
end

local function run()
  poked = false
  turns = turns + 1
  scheduler.run_ready()
  hold()
end

function host.run_soon()
  if poked or in_pump or host.stayed_behind() then
    return
  end
  poked = true
  if vim then
    vim.schedule(run)
    return
  end
  timer = timer or uv.new_timer()
  timer:start(0, 0, run)
end

local function on_readable()
  in_pump = true
  turns = turns + 1
  scheduler.collect()
  in_pump = false
  if scheduler.has_ready() then
    if vim then
      host.run_soon()
    else
      scheduler.run_ready()
      if scheduler.has_ready() then
        host.run_soon()
      end
    end
  end
  hold()
end

function host.watch(loop)
  if loop == watched or host.stayed_behind() then
    return
  end
  if handle then
    handle:stop()
    handle:close()
  end
  watched, home = loop, core.pid()
  loop:watch()
  handle = uv.new_poll(loop:fd())
  handle:start("r", on_readable)
  hold()
end

local function changed(by)
  suspended = suspended + by
  hold()
end

function host.fiber(co)
  if host.stayed_behind() then
    return nil
  end
  return fiber.new(scheduler, co, { changed = changed })
end

local function refusal()
  return nil, errors.new("ConfigurationError",
    "this would block the loop it is called from: call it in a coroutine or"
      .. " in wrenn.task.spawn (a generator inside a task: wrenn.task.wrap)")
end

-- The main program of Neovim waits like vim.wait: the editor continues, and
-- Ctrl-C ends the wait.
local function block_vim()
  if vim.in_fast_event() then
    return refusal()
  end
  local before = turns
  local ok, why = vim.wait(60000, function()
    return turns ~= before
  end, 1000)
  if not ok and why == -2 then
    return nil, errors.new("CancelledError", "interrupted")
  end
  return true
end

function host.block(loop, pending)
  if vim then
    if loop then
      host.watch(loop)
    end
    return block_vim()
  elseif not loop or host.stayed_behind() then
    return poll.block(loop, pending)
  elseif uv.loop_mode() then
    return refusal()
  end
  host.watch(loop)
  handle:ref()
  uv.run("once")
  return true
end

if vim then
  function host.report(err)
    vim.schedule(function()
      vim.notify("wrenn: a task failed: " .. tostring(err),
        vim.log.levels.ERROR)
    end)
  end
end

return host
