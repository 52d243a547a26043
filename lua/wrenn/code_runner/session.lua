-- A kernel and its WebSocket, which stays open between calls. One call uses it
-- at a time.

local cleanup = require("wrenn.task.cleanup")
local errors = require("wrenn.errors")
local fate = require("wrenn.client.fate")
local kernels = require("wrenn.code_runner.kernels")
local messages = require("wrenn.code_runner.messages")
local nested = require("wrenn.task.nested")
local results = require("wrenn.code_runner.results")
local scheduler = require("wrenn.task.scheduler")
local url = require("wrenn.wire.url")

local Session = {}
Session.__index = Session

-- A kernel that existed so many seconds ago is assumed to exist. The question
-- also counts as activity of the capsule, which an open socket does not.
local FRESH = 5
-- A reply begins at once unless the kernel is busy.
local FIRST_CHECK, CHECK = 1.5, 5 -- seconds of silence before a check
local CHECK_LIMIT = 2
local REPLY_LIMIT = 1 -- seconds between a request's end and its reply
local PAUSE = 0.1 -- seconds between checks of a kernel that is starting
local GRACE = 2 -- seconds that a kernel gets to become idle after an interrupt

-- ---- turns -----------------------------------------------------------------

local function owner()
  return scheduler.current() or "main"
end

local function forget_turn(self, inbox)
  for i, waiting in ipairs(self.queue) do
    if waiting == inbox then
      table.remove(self.queue, i)
      return
    end
  end
  self:leave() -- it was given the turn but is gone: pass it on
end

--- Waits for the session to be free and takes it. Returns true, or nil, err.
function Session:enter()
  if not self.owner then
    self.owner = owner()
    return true
  end
  local inbox = scheduler.inbox()
  self.queue[#self.queue + 1] = inbox
  local event, err = scheduler.next(inbox)
  if not event then
    forget_turn(self, inbox)
    return nil, err
  end
  self.owner = owner()
  return true
end

--- Passes the session on to the next waiter.
function Session:leave()
  local inbox = table.remove(self.queue, 1)
  self.owner = inbox and "next" or nil
  if inbox then
    inbox:put({ kind = "turn" })
  end
end

--- Whether the caller already holds the session and would wait for itself.
function Session:is_mine()
  return self.owner == owner()
end

-- ---- the socket ------------------------------------------------------------

-- Discards events that came while no code ran, except those that report the
-- loss of the socket or the kernel.
local function sift(self)
  local event = self.op and self.inbox:take()
  while event do
    if event.kind == "closed" or event.kind == "failed" then
      self.lost = true
    elseif not event.kind and event.data:find('"status"', 1, true) then
      local message = messages.decode(event.data, event.binary)
      self.lost = self.lost or message and messages.is_death(message)
    end
    event = self.op and self.inbox:take()
  end
  if self.lost then
    self:drop()
    self.lost = false
  end
end

--- Closes the socket and notifies the call that is waiting for it. Returns a
--- function that waits until it is closed, or nil if it was not open.
function Session:drop()
  local op, inbox = self.op, self.inbox
  if not op then
    return nil
  end
  self.op, self.inbox = nil, nil
  op:close() -- the core waits at most 1 s for the peer
  if self.reading == inbox then
    scheduler.forget(inbox)
    inbox:put({ kind = "dropped" })
    return nil
  end
  return function()
    repeat
      local event = scheduler.next(inbox)
    until not event or event.kind == "closed" or event.kind == "failed"
    scheduler.forget(inbox)
    return op
  end
end

-- ---- the kernel ------------------------------------------------------------

-- The kernel is gone. The default kernel is replaced; any other belongs to a
-- user.
local function lose_kernel(self, err)
  self:drop()
  if not self.replaceable then
    return nil, errors.new("NotFoundError",
      "the kernel of this context is gone",
      { status_code = err.status_code, cause = err })
  end
  self.id = nil
  return true
end

-- Lists the kernels. A kernel that is being started for a context is listed
-- before its owner is known, so starts in progress are waited for.
local function list_known(self, left)
  local give_up = scheduler.now() + left
  while true do
    local list, err = kernels.list(self.capsule, left)
    if not list or self.capsule.starting == 0 or scheduler.now() >= give_up then
      return list, err
    end
    local ok
    ok, err = scheduler.sleep(PAUSE)
    if not ok then
      return nil, err
    end
  end
end

-- The first kernel of the right kind that belongs to no context, or a new one.
local function find_kernel(self, left)
  local list, err = list_known(self, left)
  if not list then
    return nil, err
  end
  local function find(name)
    for _, kernel in ipairs(list) do
      if kernel.name == name and not self.is_taken(kernel.id) then
        return kernel
      end
    end
  end
  local name = self.capsule.kernel
  local kernel = find(name)
  if kernel then
    return kernel
  end
  return kernels.start(self.capsule, name, left, find)
end

local function ensure_kernel(self, left)
  if self.id and self.op and scheduler.now() - self.checked < FRESH then
    return true
  end
  if self.id then
    local kernel, err = kernels.get(self.capsule, self.id)
    if not kernel and err.status_code == 404 then
      kernel, err = lose_kernel(self, err)
    end
    if not kernel then
      return nil, err
    end
  end
  if not self.id then
    local kernel, err = find_kernel(self, left)
    if not kernel then
      return nil, err
    end
    self.id = kernel.id
  end
  self.checked = scheduler.now()
  return true
end

local function attach(self, left)
  sift(self)
  local ok, err = ensure_kernel(self, left)
  sift(self) -- events may have arrived during the request
  if not ok or self.op then
    return ok, err
  end
  local op, inbox = kernels.open(self.capsule, self.id)
  if not op and inbox.status_code == 404 then
    ok, err = lose_kernel(self, inbox)
    if ok then
      return attach(self, left)
    end
    return nil, err
  elseif not op then
    return nil, inbox
  end
  self.op, self.inbox = op, inbox
  return true
end

--- Ensures a running kernel and an open socket. Returns true, or nil, err.
function Session:attach(limit)
  return kernels.retry(self.capsule, limit, function(left)
    return attach(self, left)
  end)
end

-- ---- running ---------------------------------------------------------------

local ENDS = { closed = true, failed = true }

-- Puts an event into the inbox later; it carries the id of the current request.
local function remind(run, seconds, kind)
  local id = run.id
  return scheduler.after(seconds, function()
    run.inbox:put({ kind = kind, id = id })
  end)
end

-- Jupyter does not report that a kernel was removed, and a connection may be
-- dead without a sign, so the server is asked after a time of silence. That
-- also counts as activity: the capsule is not paused while a call waits.
-- Returns the reason if the run is lost.
local function doubt(self, run)
  local kernel, err = kernels.get(self.capsule, self.id, CHECK_LIMIT)
  if not kernel then
    return err.status_code == 404 and "the kernel is gone" or nil
  elseif kernel.execution_state ~= "idle" then
    run.doubts = 0
    return nil
  end
  run.doubts = (run.doubts or 0) + 1
  return run.doubts > 1 and "the kernel has not heard of the code" or nil
end

-- The messages that show that a kernel has begun to run the code.
local SIGNS = { execute_input = true, stream = true, execute_result = true,
  display_data = true, error = true }

-- After code has failed, a kernel skips requests for a moment, as it assumes
-- that they were queued. A skipped request turns busy and idle like any other;
-- only its reply tells, which may come before or after.
local function ending(run)
  if not run.idle then
    return nil
  elseif run.begun or run.reply and run.reply ~= "aborted" then
    return "idle"
  elseif run.reply then
    return "aborted"
  elseif not run.stop_waiting then
    run.stop_waiting = remind(run, REPLY_LIMIT, "unanswered")
  end
end

-- Handles a message. Returns how the run has ended, if it has.
local function take(run, event)
  local message = messages.decode(event.data, event.binary)
  if not message then
    return nil
  elseif messages.is_death(message) then
    return "lost", "the kernel has died"
  elseif message.parent == run.id then
    run.heard = true
    run.begun = run.begun or SIGNS[message.type]
    if message.type == "execute_reply" then
      run.reply = message.content.status or "ok"
    end
    run.idle = run.idle
      or results.take(run.execution, run.callbacks, message)
    return ending(run)
  end
end

-- Sends the request with a new id. Returns false if the socket is dead.
local function begin(self, run)
  local text
  if run.stop_waiting then
    run.stop_waiting()
  end
  text, run.id = messages.execute(run.code, run.silent)
  run.begun, run.reply, run.idle, run.stop_waiting = nil, nil, nil, nil
  return self.op and self.op:send(text)
end

-- Reads until the request has ended. Returns "idle", "expired", or "lost" and
-- the reason; or nil, err if interrupted. follow_for may also return "raised".
local function follow(self, run)
  while true do
    local event, err = scheduler.next(run.inbox)
    if not event then
      return nil, err
    end
    local how, why
    if event.kind == "check" then
      why = not run.heard and doubt(self, run)
      how = why and "lost"
      run.heard = false
      run.stop_check = remind(run, CHECK, "check")
    elseif event.kind == "unanswered" then
      how = event.id == run.id and "idle" -- not of an earlier request
    elseif event.kind == "dropped" then
      how, why = "lost", "kernel WebSocket closed: 1006"
    elseif ENDS[event.kind] then
      how, why = "lost", errors.new("ConnectionError",
        "kernel WebSocket closed: " .. tostring(event[1]),
        { details = { kind = "closed", close_code = event[1] } })
    elseif event.kind then
      how = event.kind
    else
      how, why = take(run, event)
    end
    if how == "aborted" then
      begin(self, run)
    elseif how then
      return how, why
    end
  end
end

-- Like follow, for a limited number of seconds.
local function follow_for(self, run, seconds)
  local stop, err
  if seconds ~= math.huge then
    stop, err = remind(run, seconds, "expired")
    if not stop then
      return nil, err
    end
  end
  run.stop_check = remind(run, FIRST_CHECK, "check")
  local ok, how, why = nested.call(follow, self, run)
  for _, cancel in pairs({ stop, run.stop_check, run.stop_waiting }) do
    cancel()
  end
  if not ok then -- a callback raised: do not call it again
    run.callbacks = {}
    return "raised", how
  end
  return how, why
end

-- Interrupts code that runs too long, so that the kernel is free for the next
-- call. If the kernel does not react, the socket is closed, so that its later
-- output goes to nobody.
local function stop_running(self, run)
  local interrupted, err = kernels.interrupt(self.capsule, self.id)
  if not interrupted or follow_for(self, run, GRACE) ~= "idle" then
    self.lost = true
  end
  return interrupted, err
end

-- The end of a call's turn.
local function end_turn(self)
  self.reading = nil
  self:leave()
end

-- Does so in the background when the caller waits no longer; its turn ends
-- then.
local function stop_apart(self, run)
  local _, ok, err = nested.call(stop_running, self, run)
  end_turn(self)
  return ok, err
end

-- What became of the capsule whose socket was lost; the call's limit holds.
local function told(self, err, left)
  local capsule = self.capsule
  local path = "/v1/capsules/" .. url.escape(capsule.id) .. "/"
  return fate.of(capsule.client, path, err, math.max(left, 0))
end

local function conclude(self, run, how, why)
  local execution, callbacks = run.execution, run.callbacks
  if how == "expired" then
    execution.timed_out = true
    if not execution.error then
      results.fail(execution, callbacks, "Timeout",
        ("run_code exceeded %gs"):format(run.limit))
    end
    stop_running(self, run)
  elseif how == "lost" then
    execution.timed_out, self.lost = true, true
    if errors.is_error(why) then
      execution.err = told(self, why, run.deadline - scheduler.now())
      why = execution.err.message
    end
    results.fail(execution, callbacks, "Disconnected", why)
  elseif not how or how == "raised" then
    self.stopping, self.owner = true, "cleanup"
    cleanup.run(self.capsule.client, "interrupt the kernel", stop_apart, self,
      run)
    if how then
      errors.raise(why)
    end
    return nil, why
  end
  return execution
end

local function run(self, code, opts)
  local state = { code = code, silent = opts.silent, limit = opts.timeout,
    callbacks = opts, execution = results.execution() }
  -- A socket that turns out to be dead is reopened once.
  for attempt = 1, 2 do
    local ok, err = self:attach(opts.jupyter_timeout)
    if not ok then
      return nil, err
    elseif begin(self, state) then
      break
    elseif attempt == 2 then
      return nil, errors.new("ConnectionError", "the kernel's WebSocket closed")
    end
    self.lost = true
  end
  self.reading, state.inbox = self.inbox, self.inbox
  state.deadline = scheduler.now() + opts.timeout
  return conclude(self, state, follow_for(self, state, opts.timeout))
end

local function tidy(self, ok, ...)
  if not self.stopping then
    end_turn(self)
  end
  self.stopping = nil
  if not ok then
    errors.raise((...))
  end
  return ...
end

--- Runs code when it is this call's turn. opts: timeout, jupyter_timeout,
--- silent and the callbacks. Returns an execution, or nil, err.
function Session:run(code, opts)
  local ok, err = self:enter()
  if not ok then
    return nil, err
  end
  return tidy(self, nested.call(run, self, code, opts))
end

local M = {}

--- Creates a session with a kernel of a capsule. fields: id (nil: to be found),
--- replaceable, is_taken(id).
function M.new(capsule, fields)
  fields.capsule, fields.queue, fields.checked = capsule, {}, 0
  return setmetatable(fields, Session)
end

return M
