-- Requests and WebSockets to a port of a capsule, through the port proxy. They
-- are answered by programs in the capsule, so this file has no access to the
-- API key.

local check = require("wrenn.check")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local scheduler = require("wrenn.task.scheduler")
local url = require("wrenn.wire.url")
local websocket = require("wrenn.capsule.websocket")

local proxy = {}

-- Headers that the transport sets itself.
local RESERVED = { host = true, ["content-length"] = true,
  ["transfer-encoding"] = true, connection = true, upgrade = true }

local function misuse(name, fname, what, level)
  error(("bad option '%s' to '%s' (%s)"):format(name, fname, what), level + 1)
end

local function check_headers(headers, fname, level)
  for name, value in pairs(headers or {}) do
    if not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
      misuse("headers", fname, "a name is malformed", level + 1)
    elseif RESERVED[name:lower()] then
      misuse("headers", fname, name .. " cannot be set", level + 1)
    elseif value:find("%c") then
      misuse("headers", fname, "the value of " .. name
        .. " holds a control character", level + 1)
    end
  end
end

local function check_path(path, fname, level)
  if path and not path:find("^/[^%c #]*$") then
    misuse("path", fname, "it must begin with a slash, and be escaped",
      level + 1)
  end
end

--- Returns the URL of a port for the scheme "http" or "ws", or their secure
--- forms if the API's URL is secure.
function proxy.url(capsule, port, scheme)
  local settings = capsule.client.settings
  return ("%s%s://%d-%s.%s"):format(scheme,
    settings.scheme == "https" and "s" or "", port, url.escape(capsule.id),
    settings.proxy_domain)
end

local function header_lines(settings, headers)
  local lines, agent = {}, settings.user_agent or http.USER_AGENT
  for name, value in pairs(headers or {}) do
    if name:lower() == "user-agent" then
      agent = nil
    end
    lines[#lines + 1] = name .. ": " .. value
  end
  if agent then
    lines[#lines + 1] = "User-Agent: " .. agent
  end
  return lines
end

-- Starts an operation on a port. Returns it and its inbox, or nil, err.
local function start(method, capsule, port, options)
  local client = capsule.client
  if client.closed then
    return nil, errors.from_core("closed", "the client is closed")
  end
  options.url = proxy.url(capsule, port, method == "ws" and "ws" or "http")
    .. (options.path or "/")
  options.headers = header_lines(client.settings, options.headers)
  return scheduler.start(method, http.net_options(client.settings, options))
end

-- Returns the headers by lower-case name, joining repeated ones.
local function headers_of(text)
  local headers = {}
  for name, value in text:gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)") do
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return headers
end

--- Sends a request to a port, with checked options, and waits for the answer.
--- Returns {status, headers, body} for any status; or nil, err.
function proxy.send(capsule, port, opts)
  local limit = opts.timeout or capsule.client.settings.timeout
  local op, inbox = start("http", capsule, port, {
    method = opts.method or "GET", path = opts.path, headers = opts.headers,
    body = opts.body, total = limit,
  })
  if not op then
    return nil, inbox
  end
  local event, err = http.next(op, inbox)
  if not event then
    return nil, err
  elseif event.kind == "failed" then
    return nil, errors.from_core(event[1], event[2], event[3])
  end
  return { status = event.status, headers = headers_of(event.head),
    body = event.body }
end

--- Opens a WebSocket to a port, with checked options. Returns the operation
--- and its inbox, or nil, err.
function proxy.open(capsule, port, opts)
  local op, inbox = start("ws", capsule, port,
    { path = opts.path, headers = opts.headers, codec = "raw" })
  if not op then
    return nil, inbox
  end
  local event, err = http.next(op, inbox)
  if not event then
    return nil, err
  elseif event.kind == "opened" then
    return op, inbox
  end
  return nil, http.refusal(event)
end

--- Starts a tunnel for requests to a port, whose Host has to be as in its URL.
--- Returns the operation and its inbox, or nil, err.
function proxy.tunnel(capsule, port)
  return start("tunnel", capsule, port, {})
end

-- ---- methods of a capsule ---------------------------------------------------

local request_spec = {
  method = "string", path = "string", headers = "map", body = "bytes",
  timeout = "seconds",
}

--- Implements capsule:request.
function proxy.request(capsule, port, opts)
  check.self(capsule, "is_capsule", "request")
  check.word(port, "port", "request")
  opts = check.options(opts, "request", request_spec)
  check_headers(opts.headers, "request", 2)
  check_path(opts.path, "request", 2)
  if opts.method and not opts.method:find("^%a[%a-]*$") then
    misuse("method", "request", "a word expected", 2)
  end
  return proxy.send(capsule, port, opts)
end

--- Implements capsule:websocket.
function proxy.websocket(capsule, port, opts)
  check.self(capsule, "is_capsule", "websocket")
  check.word(port, "port", "websocket")
  opts = check.options(opts, "websocket",
    { path = "string", headers = "map" })
  check_headers(opts.headers, "websocket", 2)
  check_path(opts.path, "websocket", 2)
  local op, inbox = proxy.open(capsule, port, opts)
  if not op then
    return nil, inbox
  end
  local socket = websocket.new(op, inbox)
  return socket, nil, nil, socket
end

--- Implements capsule:get_url.
function proxy.get_url(capsule, port, opts)
  check.self(capsule, "is_capsule", "get_url")
  check.word(port, "port", "get_url")
  opts = check.options(opts, "get_url", { scheme = "string" })
  local scheme = opts.scheme or "http"
  if scheme ~= "http" and scheme ~= "ws" then
    misuse("scheme", "get_url", "http or ws expected", 2)
  end
  return proxy.url(capsule, port, scheme)
end

return proxy
