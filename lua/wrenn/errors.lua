--- Structured errors: one table class whose types form a tree.

local errors = {}

---@class wrenn.Error
---@field type string         one of the names in the tree, e.g. "NotFoundError"
---@field message string      what happened, one sentence
---@field code? string        the server's code, e.g. "not_found"
---@field status_code? integer  the HTTP status
---@field request_id? string  for a support request
---@field retryable boolean   whether the same call may succeed later
---@field details? table      what else the server or the library knew; without
---  a status_code, `sent`: whether the request may have arrived all the same
---@field cause? any          the error behind this one
---@field retry_after? number seconds, with RateLimitError
---@field capsule_ids? string[]  with HostHasCapsulesError
---@field status? string      the capsule's status, with CapsuleStateError
---@field result? table       with CommandError, and with a command's TimeoutError
local Error = {}
Error.__index = Error

local parents = {
  ValidationError = "WrennError",
  AuthenticationError = "WrennError",
  ForbiddenError = "WrennError",
  NotFoundError = "WrennError",
  ConflictError = "WrennError",
  HostHasCapsulesError = "ConflictError",
  RateLimitError = "WrennError",
  AgentError = "WrennError",
  InternalError = "WrennError",
  HostUnavailableError = "WrennError",
  TooLargeError = "WrennError",
  TimeoutError = "WrennError",
  ConnectionError = "WrennError",
  ProtocolError = "WrennError",
  CancelledError = "WrennError",
  CapsuleStateError = "WrennError",
  ConfigurationError = "WrennError",
  CommandError = "WrennError",
  GitError = "WrennError",
  GitCommandError = "GitError",
  GitAuthError = "GitError",
}

local by_status = {
  [400] = "ValidationError",
  [401] = "AuthenticationError",
  [403] = "ForbiddenError",
  [404] = "NotFoundError",
  [409] = "ConflictError",
  [413] = "TooLargeError",
  [422] = "ValidationError",
  [429] = "RateLimitError",
  [502] = "AgentError",
  [503] = "HostUnavailableError",
  [504] = "AgentError",
}

-- Codes that say more than their status does.
local by_code = {
  host_has_sandboxes = "HostHasCapsulesError",
  host_has_capsules = "HostHasCapsulesError",
  has_active_sandboxes = "HostHasCapsulesError",
  agent_error = "AgentError",
  host_unavailable = "HostUnavailableError",
  timeout = "TimeoutError",
}

local by_core_code = {
  system = "ConnectionError",
  memory = "ConnectionError",
  forked = "ConnectionError",
  closed = "ConnectionError",
  resolve = "ConnectionError",
  connect = "ConnectionError",
  tls = "ConnectionError",
  broken = "ConnectionError",
  timeout = "TimeoutError",
  protocol = "ProtocolError",
  too_large = "TooLargeError",
  cancelled = "CancelledError",
  argument = "ValidationError",
}

local MAX_TEXT = 500

--- Whether the error is of a type or of one below it in the tree.
---@param name string  e.g. "ConflictError"
---@return boolean
function Error:is(name)
  local type_name = self.type
  while type_name do
    if type_name == name then
      return true
    end
    type_name = parents[type_name]
  end
  return false
end

--- One readable line.
function Error:__tostring()
  local notes = {}
  if self.status_code then
    notes[#notes + 1] = "HTTP " .. self.status_code
  end
  if self.code then
    notes[#notes + 1] = self.code
  end
  if self.request_id then
    notes[#notes + 1] = self.request_id
  end
  local line = self.type .. ": " .. self.message
  if #notes > 0 then
    line = line .. " (" .. table.concat(notes, ", ") .. ")"
  end
  return (line:gsub("%s*[\r\n]+%s*", " "))
end

function Error.__concat(a, b)
  return tostring(a) .. tostring(b)
end

--- Makes an error. `fields` become its own.
---@param type_name string
---@param message string
---@param fields? table
---@return wrenn.Error
function errors.new(type_name, message, fields)
  local err = { type = type_name, message = message, retryable = false }
  for name, value in pairs(fields or {}) do
    err[name] = value
  end
  return setmetatable(err, Error)
end

--- Whether a value is one of these errors.
---@param value any
---@return boolean
function errors.is_error(value)
  return getmetatable(value) == Error
end

--- Turns whatever was raised into one of these errors.
---@param value any
---@param traceback? string
---@return wrenn.Error
function errors.wrap(value, traceback)
  if errors.is_error(value) then
    return value
  end
  return errors.new("WrennError", tostring(value), {
    cause = value,
    details = { traceback = traceback },
  })
end

--- From a code of wrenn.core. `sent`: whether a request has left before.
---@param code string
---@param message string
---@param sent? boolean
---@return wrenn.Error
function errors.from_core(code, message, sent)
  return errors.new(by_core_code[code] or "ConnectionError", message, {
    retryable = code == "connect" or code == "resolve" or code == "broken",
    details = { kind = code, sent = sent or false },
  })
end

local function first_text(...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if type(value) == "string" and value ~= "" then
      return value
    end
  end
end

-- Of a page its heading, or its title, or what there is, without the markup.
local function text_of_page(html)
  local text = html:match("<[hH]1[^>]*>(.-)</")
    or html:match("<[tT][iI][tT][lL][eE]>(.-)</") or html
  return (text:gsub("<[^>]*>", " "):gsub("%s+", " "))
end

local function plain_text(body)
  local text = body or ""
  if text:find("^%s*<!?[dDhH][oOtT]") then -- "<!DOCTYPE" or "<html"
    text = text_of_page(text)
  end
  text = text:gsub("^%s+", ""):gsub("%s+$", "")
  return #text > MAX_TEXT and text:sub(1, MAX_TEXT) .. "..." or text
end

local function type_of(status, code)
  if status < 400 then -- a redirect, or no answer to an upgrade
    return "ProtocolError"
  end
  return by_code[code] or by_status[status]
    or (status >= 500 and "InternalError" or "WrennError")
end

--- From an HTTP answer that is not a success. `decoded` is its JSON, if any.
---@param status integer
---@param decoded any
---@param body string
---@param header fun(name: string): string|nil
---@return wrenn.Error
function errors.from_response(status, decoded, body, header)
  local outer = type(decoded) == "table" and decoded or {}
  local inner = type(outer.error) == "table" and outer.error or {}
  local code = type(inner.code) == "string" and inner.code or nil
  local details = type(inner.details) == "table" and inner.details or nil
  local message = first_text(inner.message, outer.error, outer.message,
    decoded == nil and plain_text(body), "HTTP " .. status)
  if status >= 300 and status < 400 then
    message = "unexpected redirect to " .. (header("location") or "nowhere")
  elseif status < 400 then
    message = "the server did not upgrade the connection to a WebSocket"
  end
  local retryable = inner.retryable
  if type(retryable) ~= "boolean" then
    retryable = status == 429 or status == 503
  end
  local ids = (details or {}).sandbox_ids or outer.sandbox_ids
    or outer.capsule_ids or inner.sandbox_ids or inner.capsule_ids
  return errors.new(type_of(status, code), message, {
    code = code,
    status_code = status,
    request_id = first_text(inner.request_id, header("x-request-id")),
    retryable = retryable,
    details = details,
    status = details and details.status,
    capsule_ids = type(ids) == "table" and ids or nil,
    retry_after = tonumber((header("retry-after"))),
  })
end

return errors
