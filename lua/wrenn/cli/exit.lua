-- How a command ends: the exit status of everything that can be raised, and
-- what is said about it. Nowhere else is an error turned into a number.

local exit = {
  MISUSE = 2,
  TIMEOUT = 124,
  FAILED = 125, -- wrenn itself: the network, the key, no such capsule
  CANNOT_RUN = 126,
  NOT_FOUND = 127,
  INTERRUPTED = 130,
  CLOSED_PIPE = 141,
}

-- What commands raise to end: {status=, message=}.
local End = {}
End.__index = End

function End:__tostring()
  return self.message or ("exit status " .. self.status)
end

--- Ends the command with a status. Without a message nothing is said.
function exit.raise(status, message)
  error(setmetatable({ status = status, message = message }, End), 0)
end

--- Ends the command with 2: it was called wrongly. The message begins with the
--- flag or operand that is wrong.
function exit.misuse(format, ...)
  error(setmetatable({ status = exit.MISUSE, misuse = true,
    message = select("#", ...) > 0 and format:format(...) or format }, End), 0)
end

-- The library wraps what a task raises.
local function unwrapped(raised)
  while type(raised) == "table" and getmetatable(raised) ~= End
    and type(raised.cause) == "table"
  do
    raised = raised.cause
  end
  return raised
end

local function is_interrupt(raised)
  return tostring(type(raised) == "table" and raised.message or raised)
    :find("interrupted!$") ~= nil
end

-- What to do about an error, for those who meet it first.
local hints = {
  ConfigurationError = "set WRENN_API_KEY, or run a server on this machine:"
    .. " wrenn local start",
  AuthenticationError = "is WRENN_API_KEY the key of the server in"
    .. " WRENN_BASE_URL? See: wrenn doctor",
}

local function of_library(err)
  local notes = {}
  if err.status_code then
    notes[#notes + 1] = "HTTP " .. err.status_code
  end
  notes[#notes + 1] = err.code
  notes[#notes + 1] = err.request_id
  notes[#notes + 1] = err.url
  return {
    status = err:is("TimeoutError") and exit.TIMEOUT or exit.FAILED,
    type = err.type, message = err.message, code = err.code,
    status_code = err.status_code, request_id = err.request_id,
    notes = #notes > 0 and " (" .. table.concat(notes, ", ") .. ")" or "",
    hint = hints[err.type],
  }
end

--- Describes what a command has raised: {status, type, message, notes, hint,
--- misuse}. Without a message there is nothing to say.
function exit.describe(raised)
  raised = unwrapped(raised)
  if type(raised) == "table" and getmetatable(raised) == End then
    return { status = raised.status, message = raised.message, notes = "",
      misuse = raised.misuse, type = raised.misuse and "Misuse" or "Failure" }
  elseif is_interrupt(raised) then
    return { status = exit.INTERRUPTED, type = "Interrupted", notes = "" }
  elseif type(raised) == "table" and type(raised.is) == "function"
    and not (raised.details and raised.details.traceback)
  then
    return of_library(raised)
  end
  return { status = exit.FAILED, type = "InternalError", notes = "",
    message = tostring(raised) }
end

return exit
