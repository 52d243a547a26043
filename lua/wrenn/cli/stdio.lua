-- The descriptors 0, 1 and 2 while other things go on: a wait for one of them
-- is a wait like any other. They are shared with other processes, so they stay
-- as they are.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local exit = require("wrenn.cli.exit")
local scheduler = require("wrenn.task.scheduler")

local stdio = {}

--- Waits until a descriptor can be read ("r") or written ("w"). Returns true, or
--- nil, err.
function stdio.await(fd, how)
  local op, inbox = scheduler.start("ready", fd, how)
  if not op then
    return nil, inbox
  end
  local event, err = scheduler.next(inbox)
  if not event then
    scheduler.forget(inbox)
    op:cancel()
    return nil, err
  elseif event.kind == "failed" then
    return nil, errors.from_core(event[1], event[2])
  end
  return true
end

--- Waits for input, and returns what is there; "" at the end, and where there
--- is nothing to read from. nil, err: the wait was interrupted.
function stdio.read(fd)
  local ok, err = stdio.await(fd, "r")
  if not ok then
    return err:is("ValidationError") and "" or nil, err
  end
  return core.read(fd) or ""
end

--- Writes all bytes. Ends the command if nobody reads them any more.
function stdio.write(fd, bytes)
  local at = 1
  while at <= #bytes do
    local after, why, gone = core.write(fd, bytes, at)
    if gone then
      exit.raise(exit.CLOSED_PIPE)
    elseif not after then
      exit.raise(exit.FAILED, "cannot write the output: " .. why)
    elseif after == at then
      local ok, err = stdio.await(fd, "w")
      if not ok then
        error(err, 0)
      end
    end
    at = after
  end
end

--- Writes what a command prints until it has ended, and returns the status to
--- exit with. Fails with the stream. `on_stderr`: takes what is printed there
--- instead.
function stdio.copy(ctx, stream, on_stderr)
  local event, err = stream:read()
  while event do
    if event.type == "stdout" then
      stdio.write(1, event.data)
    elseif event.type == "stderr" and on_stderr then
      on_stderr(event.data)
    elseif event.type == "stderr" then
      stdio.write(2, event.data)
    end
    event, err = stream:read()
  end
  local status = not err and stream.exit_code
    or ctx:check(nil, err or stream.err)
  return status < 0 and 137 or status
end

return stdio
