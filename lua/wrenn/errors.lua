--- Structured errors: one table class whose types form a tree.

local check = require("wrenn.check")
local dates = require("wrenn.dates")

---@class wrenn.errors
local errors = {}

--- An error of this library. Printed, it is one readable line.
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
---@field where? string       "file:line": the first line outside the library
---@field url? string         the URL of the request, if what answered may not
---  be the API: a web page, or no TLS
---@field retry_after? number seconds, where the server asks for a pause; those
---  of a day at the most
---@field capsule_ids? string[]  with HostHasCapsulesError
---@field status? string      the capsule's status, where it is known
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

-- Codes that are more precise than their status.
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

local MAX_TEXT = 2048 -- bytes of a text from the server
local MAX_PAGE = 500
local MAX_NAME = 128 -- of a code or an id
local MAX_DEPTH = 8

-- ---- texts -----------------------------------------------------------------

-- The secrets of each owner. Equal lists are one, however many clients have the
-- same key, and each is forgotten when the last of its owners is collected.
local secrets = setmetatable({}, { __mode = "k" })
local lists = setmetatable({}, { __mode = "v" })

-- Shorter secrets occur in ordinary text and cannot be removed reliably.
local LEAST_SECRET = 6

--- Removes strings from the texts of all errors as long as their owner lives.
---@internal
function errors.keep_secret(owner, list)
  local kept = {}
  for _, secret in ipairs(list) do
    if #secret >= LEAST_SECRET then
      kept[#kept + 1] = secret
    end
  end
  local name = table.concat(kept, "\0")
  lists[name] = lists[name] or kept
  secrets[owner] = lists[name]
end

--- Replaces a literal string everywhere in a text.
---@internal
function errors.replace(text, part, by)
  if not text:find(part, 1, true) then
    return text
  end
  return (text:gsub((part:gsub("%W", "%%%0")), by))
end

-- In other schemes a user name alone is not secret: ssh://git@host.
local function blank(text)
  text = text:gsub("()://([^%s/]*)@", function(at, user)
    local scheme = text:sub(math.max(at - 5, 1), at - 1)
    if scheme:find("https?$") or user:find(":", 1, true) then
      return "://***@"
    end
  end)
  for _, list in pairs(lists) do
    for _, secret in ipairs(list) do
      text = errors.replace(text, secret, "***")
    end
  end
  return text
end

--- Removes secrets from a text: those of clients, and credentials in URLs.
---@internal
errors.public = blank

--- Shortens a text without splitting a character.
---@internal
function errors.cut(text, limit)
  limit = limit or MAX_TEXT
  if #text <= limit then
    return text
  end
  return text:sub(1, limit):gsub("[\194-\244][\128-\191]*$", "") .. "..."
end

--- The end of a foreign text, as one printable line of limited length.
---@internal
function errors.tail(text, limit)
  local rest = text:sub(-limit)
  if #rest < #text then
    rest = "..." .. rest:gsub("^[\128-\191]+", "")
  end
  return errors.text(rest)
end

--- Turns a foreign text into one printable line of limited length.
---@internal
function errors.text(text, limit)
  text = errors.cut(text, 2 * (limit or MAX_TEXT))
  text = text:gsub("\194[\128-\159]", " "):gsub("[%c%s]+", " ")
  return errors.cut((text:gsub("^ ", ""):gsub(" $", "")), limit)
end

-- The server's details besides the message; modifies the server's table.
local function tidy(value, depth)
  if type(value) == "string" then
    return blank(errors.text(value))
  elseif type(value) ~= "table" then
    return value
  elseif depth > MAX_DEPTH then
    return nil
  end
  for key, item in pairs(value) do
    value[key] = tidy(item, depth + 1)
  end
  return value
end

-- ---- places ----------------------------------------------------------------

-- "@/usr/share/lua/5.4/wrenn/", if the code says where it comes from.
local library = debug.getinfo(1, "S").source:match("^(@.*)errors%.lua$")

local function here(level)
  while library do
    level = level + 1
    local info = debug.getinfo(level, "Sl")
    if not info then
      return nil
    elseif info.currentline > 0
      and info.source:sub(1, #library) ~= library
    then
      local name = info.short_src
      if info.source:find("^[^@=].*%s") then -- the text of a program
        name = '[string "..."]'
      end
      return ("%s:%d"):format(name, info.currentline)
    end
  end
end

--- Returns where the running coroutine is: the first line outside the library.
---@internal
function errors.here()
  return here(1)
end

--- Gives an error without a place the current one: an error may come from a
--- coroutine of the library's own. Passes other values on.
---@internal
function errors.locate(err)
  if errors.is_error(err) and not err.where then
    err.where = here(2)
  end
  return err
end

-- ---- the class -------------------------------------------------------------

--- Whether the error has a type or one below it in the tree. Raises if there is
--- no type of that name.
---@param name string  e.g. "ConflictError"
---@return boolean
function Error:is(name)
  if not parents[name] and name ~= "WrennError" then
    check.arg(name, "name", "is", "string")
    error(("bad argument 'name' to 'is' (there is no type '%s'%s)")
      :format(name, check.meant(name, parents)), 2)
  end
  local type_name = self.type
  while type_name do
    if type_name == name then
      return true
    end
    type_name = parents[type_name]
  end
  return false
end

--- Returns one readable line; for an error in Lua code, followed by the
--- traceback.
function Error:__tostring()
  local notes = {}
  if self.status_code then
    notes[#notes + 1] = "HTTP " .. self.status_code
  end
  notes[#notes + 1] = self.code
  notes[#notes + 1] = self.request_id
  notes[#notes + 1] = self.url
  local line = self.type .. ": " .. self.message
  if #notes > 0 then
    line = line .. " (" .. table.concat(notes, ", ") .. ")"
  end
  if self.where and not line:find(self.where, 1, true) then
    line = line .. " at " .. self.where
  end
  line = line:gsub("\194[\128-\159]", " "):gsub("%s*%c+%s*", " ")
  local traceback = type(self.cause) == "string" and self.details
    and self.details.traceback
  return traceback and line .. "\n" .. traceback or line
end

function Error.__concat(a, b)
  return tostring(a) .. tostring(b)
end

--- Creates an error. `fields` are copied into it. `where` = false: it gets its
--- place later, from whom it reaches.
---@internal
---@param type_name string
---@param message string
---@param fields? table
---@return wrenn.Error
function errors.new(type_name, message, fields)
  local err = { type = type_name, message = blank(message or type_name),
    retryable = false }
  for name, value in pairs(fields or {}) do
    err[name] = value
  end
  if err.where == nil then
    err.where = here(1)
  end
  err.where = err.where or nil
  return setmetatable(err, Error)
end

--- Whether a value is an object of this class.
---@param value any
---@return boolean
function errors.is_error(value)
  return getmetatable(value) == Error
end

-- A traceback without its message, and without the calls that started the task.
local function trimmed(traceback)
  local lines, last = {}, 1
  traceback = traceback:match("stack traceback:.*") or traceback
  for line in traceback:gmatch("[^\n]+") do
    lines[#lines + 1] = line
    if line:find(":%d+: ") and not line:find("wrenn/task/%w+%.lua:") then
      last = #lines
    end
  end
  return table.concat(lines, "\n", 1, last)
end

--- Turns any raised value into an object of this class.
---@internal
---@param value any
---@param traceback? string
---@return wrenn.Error
function errors.wrap(value, traceback)
  if errors.is_error(value) then
    return errors.locate(value)
  end
  local text = tostring(value)
  return errors.new("WrennError", text, {
    cause = value, where = text:match("^([^\n]-:%d+): "),
    details = { traceback = traceback and blank(trimmed(traceback)) },
  })
end

-- Where the interpreter prints nothing of an error object that nobody catches.
local mute = _VERSION == "Lua 5.1" and not package.loaded.jit
local catchers = { [pcall] = true, [xpcall] = true }

local function is_caught()
  local level = 3
  while true do
    local info = debug.getinfo(level, "f")
    if not info then
      return coroutine.running() ~= nil -- by whoever resumes it
    elseif catchers[info.func] then
      return true
    end
    level = level + 1
  end
end

--- Raises a value, an error object as its text where nothing else of it would be
--- seen: in the main program of PUC Lua 5.1, unless it is caught.
---@internal
function errors.raise(value)
  if mute and errors.is_error(value) and not is_caught() then
    value = tostring(value)
  end
  error(value, 0)
end

--- Creates an error from a code of wrenn.core. `sent`: whether an earlier
--- attempt may have reached the server.
---@internal
---@param code string
---@param message string
---@param sent? boolean
---@return wrenn.Error
function errors.from_core(code, message, sent)
  local type_name = by_core_code[code] or "ConnectionError"
  return errors.new(type_name, errors.text(message or code), {
    retryable = code == "connect" or code == "resolve" or code == "broken",
    details = { kind = code, sent = sent or false },
  })
end

-- Statuses of a capsule that was used before it ran.
local EARLY = { pending = true, starting = true }

--- Adds to an error of a capsule that does not run what its text tells of the
--- status, and what was forgotten.
---@internal
function errors.explain_state(err)
  err.status = err.status or err.message:match("%(status: (%a+)%)")
  if err.type == "ConflictError" and EARLY[err.status] then
    err.message = err.message .. "; it is still starting: create it with"
      .. " wait = true, or call wait_ready first"
  end
  return err
end

local function first_text(...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if type(value) == "string" and value ~= "" then
      return value
    end
  end
end

-- The heading or title of an HTML page, or its text without markup.
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
  return errors.text(text, MAX_PAGE)
end

local function name_of(value)
  return type(value) == "string" and blank(errors.text(value, MAX_NAME)) or nil
end

local function type_of(status, code)
  if status < 400 then -- a redirect, or not an answer to an upgrade
    return "ProtocolError"
  end
  return by_code[code] or by_status[status]
    or (status >= 500 and "InternalError" or "WrennError")
end

--- Creates an error from an unsuccessful HTTP answer. `decoded` is its JSON, if
--- it is JSON.
---@internal
---@param status integer
---@param decoded any
---@param body string
---@param header fun(name: string): string|nil
---@return wrenn.Error
function errors.from_response(status, decoded, body, header)
  local outer = type(decoded) == "table" and decoded or {}
  local inner = type(outer.error) == "table" and outer.error or {}
  local code = name_of(inner.code)
  local details = type(inner.details) == "table" and tidy(inner.details, 1)
    or nil
  local message = first_text(inner.message, outer.error, outer.message,
    decoded == nil and plain_text(body), "HTTP " .. status)
  message = first_text(errors.text(message), "HTTP " .. status)
  if status >= 300 and status < 400 then
    message = "unexpected redirect to " .. errors.text(header("location")
      or "nowhere")
  elseif status == 206 then
    message = "the server sent a part of the answer, which nobody asked for"
  elseif status < 400 then
    message = "the server did not upgrade the connection to a WebSocket"
  end
  local retryable = inner.retryable
  if type(retryable) ~= "boolean" then
    retryable = status == 429 or status == 503
  end
  local ids = (details or {}).sandbox_ids or outer.sandbox_ids
    or outer.capsule_ids or inner.sandbox_ids or inner.capsule_ids
  return errors.explain_state(errors.new(type_of(status, code), message, {
    code = code,
    status_code = status,
    request_id = name_of(first_text(inner.request_id,
      header("x-request-id"))),
    retryable = retryable,
    details = details,
    status = details and details.status,
    capsule_ids = type(ids) == "table" and ids or nil,
    retry_after = dates.delay(header("retry-after"), header("date")),
  }))
end

return errors
