-- What is to be tidied up on a server: a command to kill, a file to remove, a
-- capsule to destroy. It is done in the background and under a limit of its
-- own, so that nobody waits longer for it than for anything else.

local errors = require("wrenn.errors")
local scheduler = require("wrenn.task.scheduler")
local task = require("wrenn.task")

local cleanup = {}

local LIMIT = 5 -- seconds
-- A limit that fires so much too late was not watched: nobody drove the loop.
local LATE = 1

local arm

-- Callback of a timer. What could not even be tried gets its time once more.
local function expire(state)
  if not state.again and scheduler.now() > state.due + LATE then
    state.again = true
    return arm(state)
  end
  task.cut(state.scope, errors.new("TimeoutError",
    ("not finished within %g s"):format(LIMIT)))
end

function arm(state)
  state.due = scheduler.now() + LIMIT
  state.stop = scheduler.after(LIMIT, expire, state)
end

local function tell(client, what, err)
  local listener = client and client.settings.on_event
  if listener and errors.is_error(err) and not err:is("NotFoundError") then
    listener({ type = "cleanup", what = what, error = err })
  end
end

local function work(client, what, fn, ...)
  local state = { scope = task.scope() }
  local args, count = { ... }, select("#", ...)
  arm(state)
  local ok, err, more = task.within(state.scope, function()
    return fn((table.unpack or unpack)(args, 1, count))
  end)
  if state.stop then
    state.stop()
  end
  if not ok then
    tell(client, what, err)
  end
  if client and client.closed then -- its connections are not used again
    scheduler.let_go(client.settings.owner)
  end
  return ok, err, more
end

--- Starts fn(...) in the background. If it returns nil, err, that is told by the
--- client's on_event, where there is a client: {type="cleanup", what=, error=}.
--- Returns the task.
function cleanup.start(client, what, fn, ...)
  return task.tidy(work, client, what, fn, ...)
end

--- Like cleanup.start, and waits for the end unless interrupted. Returns what
--- `fn` returned; nil, err if interrupted.
function cleanup.run(client, what, fn, ...)
  return cleanup.start(client, what, fn, ...):wait()
end

return cleanup
