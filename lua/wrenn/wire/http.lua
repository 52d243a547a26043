-- Requests and WebSocket upgrades of a client: headers, and the conversion of
-- answers into values or errors. Only this file handles the API key.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local json = require("wrenn.wire.json")
local retry = require("wrenn.wire.retry")
local scheduler = require("wrenn.task.scheduler")
local shapes = require("wrenn.wire.shapes")
local url = require("wrenn.wire.url")

local http = {}

http.USER_AGENT = "wrenn-lua/" .. core._VERSION

--- Returns the value of a header of an answer, or of an event with headers.
function http.header(answer, name)
  local lines = answer.lines
  if not lines then
    lines = {}
    for key, value in answer.head:gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)") do
      lines[key:lower()] = value
    end
    answer.lines = lines
  end
  return lines[name]
end

--- Whether an answer is an HTML page.
function http.is_page(answer)
  return (http.header(answer, "content-type") or ""):lower()
    :find("text/html", 1, true) ~= nil
end

--- The error that an answer with such a status means. `asked`: the URL, for an
--- answer that is not the API's.
function http.refused(answer, body, asked)
  local decoded = json.decode(body)
  local err = errors.from_response(answer.status, decoded, body,
    function(name)
      return http.header(answer, name)
    end)
  if decoded == nil and body ~= "" then
    err.url = asked and errors.public(asked)
  end
  return err
end

-- The failures by which a server that speaks something else shows.
local DOUBTFUL = { tls = true, protocol = true }

local function failed(event, asked)
  local err = errors.from_core(event[1], event[2], event[3])
  if DOUBTFUL[event[1]] then
    err.url = asked and errors.public(asked)
  end
  return err
end

local function headers_of(settings, request)
  local lines = {
    "X-API-Key: " .. settings.key(),
    "User-Agent: " .. (settings.user_agent or http.USER_AGENT),
  }
  if request.content_type then
    lines[3] = "Content-Type: " .. request.content_type
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

-- The requests that have been prepared for a client, by content type and
-- method. Kept here by settings, so that a dump of a client does not contain
-- the key.
local of_settings = setmetatable({}, { __mode = "k" })

-- Returns what is prepared for a request, or nil, code, message.
local function prepared(settings, request)
  local own = of_settings[settings]
  if own and (own.base_url ~= settings.base_url
    or own.connect ~= settings.connect_timeout)
  then
    own = nil -- somebody has changed them
  end
  local kind, method = request.content_type or "", request.method
  local of_kind = own and own[kind]
  if of_kind and of_kind[method] and not request.stream then
    return of_kind[method]
  end
  local made, code, message = core.request(http.net_options(settings, {
    method = method, url = settings.base_url, stream = request.stream,
    headers = headers_of(settings, request),
  }))
  if made and not request.stream
    and not kind:find("boundary=", 1, true) -- a boundary is unique
  then
    own = own or
      { base_url = settings.base_url, connect = settings.connect_timeout }
    own[kind] = of_kind or {}
    own[kind][method] = made
    of_settings[settings] = own
  end
  return made, code, message
end

local function path_of(request)
  if request.query then
    return request.path .. url.query(request.query)
  end
  return request.path
end

--- The URL of a request, for errors.
function http.url(client, request)
  return client.settings.base_url .. path_of(request)
end

-- Whether the client takes no more calls. What tidies up still may: a capsule
-- that was being created is destroyed after the end of its client's scope.
local function is_closed(client)
  local task = client.closed and scheduler.owner()
  return client.closed and not (task and task.tidies)
end

--- Starts a request without waiting for its answer. Returns the operation
--- and its inbox, or nil, err.
function http.start(client, request)
  if is_closed(client) then
    return nil, errors.from_core("closed", "the client is closed")
  end
  local ready, code, message = prepared(client.settings, request)
  if not ready then
    return nil, errors.from_core(code, message)
  end
  local path = request.query and path_of(request) or request.path
  return scheduler.start("http", ready, path, request.body,
    request.timeout or nil, request.idle, request.answer,
    request.upload and (request.upload_size or -1) or nil)
end

--- Whether a status is that of the answer that was asked for. Nothing here asks
--- for a part of one (206).
function http.is_success(status)
  return status >= 200 and status < 300 and status ~= 206
end

--- Converts a "done" or "failed" event into an answer {status, head, body}, or
--- nil, err.
function http.answer(event, client, request)
  if event.kind == "failed" then
    return nil, failed(event, http.url(client, request))
  elseif not http.is_success(event.status) then
    return nil, http.refused(event, event.body, http.url(client, request))
  end
  return event
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
    return nil, err, true
  end
  return http.answer(event, client, request)
end

-- What a failed request is about may have to be woken for another attempt.
local function revive(client, request, err)
  return client.revive.answer(client, request, err, function()
    return retry.run(client, request, attempt)
  end)
end

--- Sends a request and waits for its answer.
--- request: method, path, query, json or body with content_type, timeout, and
--- what wrenn.wire.retry knows: reads, retries.
function http.request(client, request)
  if request.timeout == nil then
    request.timeout = client.settings.timeout
  end
  if request.json then
    request.body = json.encode(request.json)
    request.content_type = "application/json"
  end
  local answer, err = retry.run(client, request, attempt)
  if answer then
    return answer
  end
  return revive(client, request, err)
end

local function no_answer(client, request, answer, why, value)
  return nil, errors.new("ProtocolError",
    ("%s %s: %s"):format(request.method, request.path, why),
    { status_code = answer.status, details = { answer = value },
      url = errors.public(http.url(client, request)) })
end

--- Like http.request, for a JSON answer of some shape (see wrenn.wire.shapes);
--- nil allows any object or array.
function http.call(client, request, shape)
  local answer, err = http.request(client, request)
  if not answer then
    return nil, err
  elseif answer.body == "" then
    return no_answer(client, request, answer, "the answer is empty")
  end
  local value, why = json.decode(answer.body)
  if type(value) ~= "table" then
    return no_answer(client, request, answer,
      ("the answer is not JSON (%s)"):format(why or "not an object or array"))
  end
  local ok = true
  if shape then
    ok, why = shapes.check(shape, value, answer.body)
  end
  if not ok then
    return no_answer(client, request, answer, why, value)
  end
  return value, answer
end

--- Checks that an answer accepts the request: returns true, or nil, err. A page
--- is not an answer of the API.
function http.accepted(client, request, answer)
  if answer.body ~= "" and type(json.decode(answer.body)) ~= "table" then
    return no_answer(client, request, answer, "the answer is not JSON")
  end
  return true
end

--- Like http.request, for answers without content.
function http.order(client, request)
  local answer, err = http.request(client, request)
  if not answer then
    return nil, err
  end
  return http.accepted(client, request, answer)
end

--- Like http.request, for an answer of bytes. The API announces them as bytes;
--- a page comes from something else.
function http.fetch(client, request)
  local answer, err = http.request(client, request)
  if not answer then
    return nil, err
  elseif http.is_page(answer) then
    return no_answer(client, request, answer, "the answer is a web page")
  end
  return answer
end

--- Converts the event of a WebSocket that did not open into an error.
function http.refusal(event, asked)
  if event[1] ~= "refused" then
    return failed(event, asked)
  end
  return http.refused({ status = event[3], head = event[4] }, event[5], asked)
end

--- Sends a message of a WebSocket: "text", "binary" or, as input of a terminal,
--- "base64". Returns true, or nil, err.
function http.send(op, data, encoding)
  local ok, code, message
  if encoding == "base64" then
    ok, code, message = op:send_input(data)
  else
    ok, code, message = op:send(data, encoding == "binary")
  end
  if not ok then
    return nil, errors.from_core(code, message)
  end
  return true
end

-- The type of the frames that the core passes on as strings, by codec.
local PLAIN = { stream = "stdout", pty = "output" }

local function open(client, request)
  local settings = client.settings
  local asked = url.to_ws(http.url(client, request))
  local op, inbox = scheduler.start("ws", http.net_options(settings, {
    url = asked,
    headers = headers_of(settings, request),
    codec = request.codec,
  }))
  if not op then
    return nil, inbox
  end
  inbox.plain = PLAIN[request.codec]
  if request.first then
    local sent, why = http.send(op, json.encode(request.first), "text")
    if not sent then
      scheduler.forget(inbox)
      op:cancel()
      return nil, why
    end
  end
  local event, err = http.next(op, inbox)
  if not event then
    return nil, err, true
  elseif event.kind == "opened" then
    return { status = 101, op = op, inbox = inbox }
  end
  return nil, http.refusal(event, asked)
end

--- Opens a WebSocket. request: path, codec, first (a message to send). Returns
--- the operation and its inbox when it is open, or nil, err. As long as it is
--- not, the message has not left: it can be tried again.
function http.open(client, request)
  if is_closed(client) then
    return nil, errors.from_core("closed", "the client is closed")
  end
  local awake, err = client.revive.ensure(client, request)
  if not awake then
    return nil, err
  end
  request.method, request.timeout = "GET", client.settings.timeout
  local opened
  opened, err = retry.run(client, request, open)
  if not opened then
    return nil, err
  end
  return opened.op, opened.inbox
end

return http
