-- What can go wrong with an answer, as one table: {name, what the peer does, the
-- type of error, options}. The peer's part is Lua source with `c`, the
-- connection, whose request has been read. Options: `slow`: only a deadline ends
-- it; `shape`: an answer that is whole, and not what was asked for; `answered`:
-- its head says 200, which is no upgrade.

local peer = require("spec.support.peer")

local faults = {}

local function add(name, script, expected, options)
  options = options or {}
  faults[#faults + 1] = { name = name, script = script, expected = expected,
    slow = options.slow, shape = options.shape, status = options.status,
    bytes = options.bytes,
    answered = options.answered }
end

local function sends(bytes, ending)
  return ("c:send(%q) c:sleep(0.01) c:%s"):format(bytes, ending or "close()")
end

local function stalls(bytes)
  return ("c:send(%q) c:sleep(60)"):format(bytes)
end

-- Sends the first part, then the second over and over for a minute.
local function drips(first, again)
  return ([[
    c:send(%q)
    for i = 1, 300 do c:send(%q) c:sleep(0.2) end
  ]]):format(first, again)
end

local OK = "HTTP/1.1 200 OK\r\n"
local HEAD = OK .. "Content-Length: 99\r\n"
local CHUNKED = OK .. "Transfer-Encoding: chunked\r\n\r\n"
local BODY = '{"id":"cl-1","status":"running"}'

local function head_with(line, body)
  return sends(OK .. line .. "\r\n\r\n" .. (body or BODY))
end

-- ---- connections that end ---------------------------------------------------

for _, stage in ipairs({
  { "before the answer", "" },
  { "inside the status line", "HTTP/1.1 2" },
  { "inside the head", HEAD },
  { "after the head", HEAD .. "\r\n" },
  { "inside the body", HEAD .. "\r\n{}" },
  { "inside a chunk's size", CHUNKED .. "9" },
  { "inside a chunk", CHUNKED .. "9\r\n{}" },
  { "before the last chunk", CHUNKED .. "2\r\n{}\r\n" },
  { "after an interim answer", "HTTP/1.1 100 Continue\r\n\r\n" },
}) do
  local bytes = stage[2]
  local answered = bytes:find(" 200 .*\r\n\r\n")
  add("end " .. stage[1], sends(bytes), "ConnectionError",
    { answered = answered })
  add("reset " .. stage[1], sends(bytes, "reset()"), "ConnectionError",
    { answered = answered })
  add("silence " .. stage[1], stalls(bytes), "TimeoutError",
    { slow = true, answered = answered })
end

-- ---- answers that drip ------------------------------------------------------

local function add_drip(name, first, again, bytes)
  add(name .. " that drips", drips(first, again), "TimeoutError",
    { slow = true, bytes = bytes, answered = bytes })
end

add_drip("a status line", "HTTP/1.1 200 ", "K")
add_drip("a head", OK, "X: y\r\n")
add_drip("an interim answer", "", "HTTP/1.1 102 Processing\r\n\r\n")
add_drip("a body", OK .. "Content-Length: 5000\r\n\r\n", " ", true)
add_drip("a body in chunks", CHUNKED, "1\r\n \r\n", true)

-- ---- malformed answers ------------------------------------------------------

for _, case in ipairs({
  { "garbage", sends("garbage\r\n\r\n") },
  { "HTTP/0.9", sends(BODY) },
  { "no digits for a status", sends("HTTP/1.1 abc OK\r\n\r\n" .. BODY) },
  { "another version", sends("HTTP/7.1 200 OK\r\n\r\n" .. BODY) },
  { "a malformed chunk", sends(CHUNKED .. "zz\r\n{}\r\n0\r\n\r\n") },
  { "a negative chunk", sends(CHUNKED .. "-2\r\n{}\r\n0\r\n\r\n") },
  { "a chunk beyond 2^64",
    sends(CHUNKED .. "fffffffffffffffff\r\n{}\r\n0\r\n\r\n") },
  { "a chunk without its end", sends(CHUNKED .. "2\r\n{}0\r\n\r\n") },
  { "an upgrade unasked", sends("HTTP/1.1 101 Switching Protocols\r\n"
    .. "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n") },
  { "garbage as gzip", head_with("Content-Encoding: gzip\r\n"
    .. "Content-Length: " .. #BODY) },
  { "compression unasked", head_with("Content-Encoding: gzip\r\n"
    .. "Connection: close", "\31\139\8\0\0\0\0\0\0\3\171\174\5\0\67\191\166"
    .. "\163\2\0\0\0") },
  { "two lengths", head_with("Content-Length: 2\r\nContent-Length: "
    .. #BODY) },
  { "a negative length", head_with("Content-Length: -1") },
  { "a length that is no number", head_with("Content-Length: some") },
  { "a length and chunks", head_with("Content-Length: " .. #BODY
    .. "\r\nTransfer-Encoding: chunked") },
  { "an unknown encoding", head_with("Transfer-Encoding: wrenn") },
}) do
  add(case[1], case[2], "ProtocolError")
end
for _, case in ipairs({
  { "a length beyond 2^63", head_with("Content-Length: 9223372036854775808") },
  { "too many headers", head_with(("X: y\r\n"):rep(1000) .. "Z: y") },
  { "headers of a mebibyte", head_with(("X: " .. ("y"):rep(1000) .. "\r\n")
    :rep(1000) .. "Z: y") },
  { "a header of 200 KiB", head_with("X: " .. ("y"):rep(200 * 1024)) },
}) do
  add(case[1], case[2], "TooLargeError")
end

-- ---- statuses ---------------------------------------------------------------

local function responds(status, body, headers)
  return ("c:respond(%d, %q, {%s})"):format(status, body or "",
    headers and ("%q"):format(headers) or "")
end

for _, status in ipairs({ 300, 301, 302, 303, 307, 308 }) do
  add(status .. " to another place", responds(status, "",
    "Location: http://127.0.0.1:1/"), "ProtocolError", { status = status })
end
add("206, of which nobody asked for a part", responds(206, "{}",
  "Content-Range: bytes 0-1/9"), "ProtocolError", { status = 206 })
add("302 to nowhere", responds(302), "ProtocolError", { status = 302 })
add("304", "c:send('HTTP/1.1 304 Not Modified\\r\\n\\r\\n')", "ProtocolError",
  { status = 304 })

local ERROR = '{"error":{"code":"x","message":"m","request_id":"req_1",'
  .. '"retryable":false}}'
local bodies = {
  { "", ERROR, "application/json" },
  { " without a body", "" },
  { " with HTML", "<html><h1>no</h1></html>", "text/html" },
  { " with other JSON", '{"error":[1,{}],"message":7}', "application/json" },
}
for _, case in ipairs({
  { 400, "ValidationError" }, { 401, "AuthenticationError" },
  { 403, "ForbiddenError" }, { 404, "NotFoundError" }, { 405, "WrennError" },
  { 408, "WrennError" }, { 409, "ConflictError" }, { 410, "WrennError" },
  { 413, "TooLargeError" }, { 418, "WrennError" }, { 422, "ValidationError" },
  { 429, "RateLimitError" }, { 500, "InternalError" },
  { 501, "InternalError" }, { 502, "AgentError" },
  { 503, "HostUnavailableError" }, { 504, "AgentError" },
  { 599, "InternalError" },
}) do
  for _, body in ipairs(bodies) do
    add(case[1] .. body[1], responds(case[1], body[2],
      body[3] and "Content-Type: " .. body[3]), case[2], { status = case[1] })
  end
end

-- ---- answers of another shape -----------------------------------------------

for _, case in ipairs({
  { "204", 204 }, { "nothing", 200 }, { "{}", 200, "{}" },
  { "[]", 200, "[]" }, { "null", 200, "null" }, { "a number", 200, "1" },
  { "a string", 200, '"cl-1"' }, { "true", 200, "true" },
  { "[null]", 200, "[null]" }, { "[{}]", 200, "[{}]" },
  { "wrong types", 200, '{"id":1,"status":[],"name":{},"pid":"x","exit_code":'
    .. '"0","entries":7,"entry":[],"processes":{"a":1},"templates":3,'
    .. '"points":"x","version":[],"current":1}' },
  { "text", 200, "ok" }, { "cut JSON", 200, '{"id":"cl-1","status":"runn' },
  { "JSON and more", 200, BODY .. "}" },
  { "JSON that is not UTF-8", 200, '{"id":"cl-\255","status":"\192\175"}' },
  { "deep JSON", 200, ("["):rep(20000) .. ("]"):rep(20000) },
  { "JSON with a byte of 0", 200, '{"id":"cl-1\0","status":"x"}' },
  { "a page", 200, "<!DOCTYPE html><html><h1>Log in</h1></html>",
    "Content-Type: text/html; charset=utf-8" },
}) do
  add(case[1], case[2] == 204
    and "c:send('HTTP/1.1 204 No Content\\r\\n\\r\\n')"
    or responds(case[2], case[3], case[4] or "Content-Type: application/json"),
    "ProtocolError", { shape = true })
end

-- The same without Lua's strings: what a request meets once the address is none
-- of the peer's.
faults.addresses = {
  { name = "refused", base = "http://127.0.0.1:1",
    expected = "ConnectionError", concurrency = 32 },
  { name = "no such host", base = "http://" .. peer.NOWHERE,
    expected = "ConnectionError", concurrency = 4 },
  { name = "no TLS there", base = "https://127.0.0.1:%s",
    expected = "ConnectionError", concurrency = 32 },
}

return faults
