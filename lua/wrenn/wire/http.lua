-- Requests and WebSocket upgrades of a client: headers, retries, and the
-- conversion of answers into values or errors. Only this file handles the API
-- key.

local errors = require("wrenn.errors")
local json = require("wrenn.wire.json")
local scheduler = require("wrenn.task.scheduler")
local shapes = require("wrenn.wire.shapes")
local url = require("wrenn.wire.url")

local http = {}

http.USER_AGENT = "wrenn-lua/0.1.0"

local IDEMPOTENT = { GET = true, HEAD = true, DELETE = true, PUT = true }
local RETRY_STATUS = { [429] = true, [502] = true, [503] = true, [504] = true }
local FIRST_PAUSE = 0.3 -- seconds, doubled for each further attempt
local LONGEST_PAUSE = 30
local RETRYABLE_KINDS =
  { connect = true, resolve = true, broken = true, timeout = true }

--- Returns a function that finds the value of a header in the header lines.
function http.header_finder(text)
  local lines
  return function(name)
    if not lines then
      lines = {}
      for key, value in text:gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)") do
        lines[key:lower()] = value
      end
    end
    return lines[name]
  end
end

--- Whether the headers belong to an HTML page.
function http.is_page(header)
  return (header("content-type") or ""):lower():find("text/html", 1, true)
    ~= nil
end

-- The header lines of a client's requests, built once for each content type.
-- Kept here by settings, so that a dump of a client does not contain the key.
local header_cache = setmetatable({}, { __mode = "k" })

local function headers_of(settings, request)
  local kind = request.content_type or "none"
  local cache = header_cache[settings]
  if not cache then
    cache = {}
    header_cache[settings] = cache
  end
  local lines = cache[kind]
  if not lines then
    lines = {
      "X-API-Key: " .. settings.key(),
      "User-Agent: " .. (settings.user_agent or http.USER_AGENT),
    }
    if request.content_type then
      lines[3] = "Content-Type: " .. request.content_type
    end
    if not kind:find("boundary=", 1, true) then -- a boundary is unique
      cache[kind] = lines
    end
  end
  return lines
end

--- Adds the settings that all operations of a client share to the options of an
--- operation.
function http.net_options(settings, options)
  options.ca_file = settings.ca_file
  options.proxy = settings.proxy
  options.insecure = settings.insecure
  options.connect = settings.connect_timeout
  options.owner = settings.owner
  return options
end

local function url_of(settings, request)
  return settings.base_url .. request.path .. url.query(request.query)
end

--- Starts a request without waiting for its answer. Returns the operation
--- and its inbox, or nil, err.
function http.start(client, request)
  local settings = client.settings
  if client.closed then
    return nil, errors.from_core("closed", "the client is closed")
  end
  return scheduler.start("http", http.net_options(settings, {
    method = request.method,
    url = url_of(settings, request),
    headers = headers_of(settings, request),
    body = request.body,
    upload = request.upload,
    upload_size = request.upload_size,
    stream = request.stream,
    total = request.timeout or nil,
    head = request.idle,
    answer = request.answer,
    idle = request.idle,
  }))
end

--- Converts a "done" or "failed" event into an answer {status, header, body},
--- or nil, err.
function http.answer(event)
  if event.kind == "failed" then
    return nil, errors.from_core(event[1], event[2], event[3])
  end
  local status, body = event[1], event[3]
  local header = http.header_finder(event[2])
  if status < 200 or status >= 300 then
    return nil, errors.from_response(status, (json.decode(body)), body, header)
  end
  return { status = status, header = header, body = body }
end

--- Waits for the next event of an operation; cancels the operation if the wait
--- is interrupted.
function http.next(op, inbox)
  local event, err = scheduler.next(inbox)
  if not event then
    scheduler.forget(inbox)
    op:cancel()
    return nil, err
  end
  return event
end

local function attempt(client, request)
  local op, inbox = http.start(client, request)
  if not op then
    return nil, inbox
  end
  local event, err = http.next(op, inbox)
  if not event then
    return nil, err, true -- interrupted: do not retry
  end
  return http.answer(event)
end

local function kind_of(err)
  return err.details and err.details.kind
end

-- Returns the seconds to wait before the next attempt; nil for no attempt.
local function pause_before_retry(err, number)
  local pause = FIRST_PAUSE * 2 ^ (number - 1)
  if not err.status_code then
    return RETRYABLE_KINDS[kind_of(err)] and pause or nil
  end
  if not RETRY_STATUS[err.status_code] then
    return nil
  end
  if err.retry_after then
    return err.retry_after <= LONGEST_PAUSE and err.retry_after or nil
  end
  return err.status_code ~= 429 and err.retryable and err.request_id and pause
    or nil
end

local function report(request, number, begin, answer, err)
  return {
    type = "request", method = request.method, path = request.path,
    status = answer and answer.status or err.status_code, error = err,
    attempt = number, duration = scheduler.now() - begin,
  }
end

-- The caller has to know whether any attempt may have reached the server.
local function note_sent(err, sent)
  local details = not err.status_code and err.details
  if details and details.kind then
    details.sent = details.sent or sent
    return details.sent
  end
  return true -- there is an answer
end

local function with_retries(client, request)
  local settings = client.settings
  local deadline = request.timeout and scheduler.now() + request.timeout
  local number, sent = 1, false
  while true do
    local begin = scheduler.now()
    local answer, err, interrupted = attempt(client, request)
    if err and not interrupted then
      sent = note_sent(err, sent)
    end
    if settings.on_event then
      settings.on_event(report(request, number, begin, answer, err))
    end
    if answer or interrupted or number > settings.retries
      or not IDEMPOTENT[request.method]
    then
      return answer, err
    end
    local pause = pause_before_retry(err, number)
    if not pause or deadline and scheduler.now() + pause >= deadline then
      return nil, err
    end
    local ok, why = scheduler.sleep(pause)
    if not ok then
      return nil, why
    end
    number = number + 1
    if deadline then -- all attempts share the time limit of the call
      request.timeout = math.max(deadline - scheduler.now(), 0.001)
    end
  end
end

--- Sends a request and waits for its answer.
--- request: method, path, query, json or body with content_type, timeout.
function http.request(client, request)
  if request.timeout == nil then
    request.timeout = client.settings.timeout
  end
  if request.json then
    request.body = json.encode(request.json)
    request.content_type = "application/json"
  end
  local limit = request.timeout
  local answer, err = with_retries(client, request)
  if answer then
    return answer
  end
  return client.revive.answer(client, request, err, function()
    request.timeout = limit
    return with_retries(client, request)
  end)
end

local function no_answer(request, answer, why, value)
  return nil, errors.new("ProtocolError",
    ("%s %s: %s"):format(request.method, request.path, why),
    { status_code = answer.status, details = { answer = value } })
end

--- Like http.request, for a JSON answer of some shape (see wrenn.wire.shapes);
--- nil allows any object or array.
function http.call(client, request, shape)
  local answer, err = http.request(client, request)
  if not answer then
    return nil, err
  elseif answer.body == "" then
    return no_answer(request, answer, "the answer is empty")
  end
  local value, why = json.decode(answer.body)
  if type(value) ~= "table" then
    return no_answer(request, answer, ("the answer is not JSON (%s)"):format(
      why or "not an object or array"))
  end
  local ok = true
  if shape then
    ok, why = shapes.check(shape, value, answer.body)
  end
  if not ok then
    return no_answer(request, answer, why, value)
  end
  return value, answer
end

--- Checks that an answer accepts the request: returns true, or nil, err. A page
--- is not an answer of the API.
function http.accepted(request, answer)
  if answer.body ~= "" and type(json.decode(answer.body)) ~= "table" then
    return no_answer(request, answer, "the answer is not JSON")
  end
  return true
end

--- Like http.request, for answers without content.
function http.order(client, request)
  local answer, err = http.request(client, request)
  if not answer then
    return nil, err
  end
  return http.accepted(request, answer)
end

--- Like http.request, for an answer of bytes. The API announces them as bytes;
--- a page comes from something else.
function http.fetch(client, request)
  local answer, err = http.request(client, request)
  if not answer then
    return nil, err
  elseif http.is_page(answer.header) then
    return no_answer(request, answer, "the answer is a web page")
  end
  return answer
end

--- Converts the event of a WebSocket that did not open into an error.
function http.refusal(event)
  if event[1] ~= "refused" then
    return errors.from_core(event[1], event[2])
  end
  local status, headers, body = event[3], event[4], event[5]
  return errors.from_response(status, (json.decode(body)), body,
    http.header_finder(headers))
end

--- Opens a WebSocket. request: path, codec, first (a message to send). Returns
--- the operation and its inbox when it is open, or nil, err.
function http.open(client, request)
  local settings = client.settings
  if client.closed then
    return nil, errors.from_core("closed", "the client is closed")
  end
  local awake, why = client.revive.ensure(client, request)
  if not awake then
    return nil, why
  end
  local op, inbox = scheduler.start("ws", http.net_options(settings, {
    url = url.to_ws(url_of(settings, request)),
    headers = headers_of(settings, request),
    codec = request.codec,
  }))
  if not op then
    return nil, inbox
  end
  if request.first then
    local sent, code, message = op:send(json.encode(request.first))
    if not sent then
      scheduler.forget(inbox)
      op:cancel()
      return nil, errors.from_core(code, message)
    end
  end
  local event, err = http.next(op, inbox)
  if not event then
    return nil, err
  elseif event.kind == "opened" then
    return op, inbox
  end
  return nil, http.refusal(event)
end

return http
