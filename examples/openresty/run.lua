-- POST /run: runs the body as a shell script, and answers with its output as it
-- is printed: as text, or as events if the client accepts text/event-stream.

local json = require("cjson")
local ngx = require("ngx")
local wrenn = require("wrenn")

local M = {}

-- Seconds: the limit of a script, and the time without use after which a capsule
-- is paused (if this worker dies before it can destroy it).
local LIMIT, UNUSED = 30, 60

local function refuse(status, text)
  ngx.status = status
  ngx.header.content_type = "text/plain"
  ngx.say(text)
  return ngx.exit(status)
end

-- Waits until the client has taken the text, so that the script waits as well.
-- Where lua_http10_buffering is on, a client of HTTP/1.0 gets all at the end.
local function send(text)
  local ok, err = ngx.print(text)
  if ok then
    ok, err = ngx.flush(true)
  end
  if not ok and err ~= "buffering" then
    error("the client is gone: " .. tostring(err), 0)
  end
end

-- ---- the two forms ---------------------------------------------------------

local function put_event(kind, value)
  send(("event: %s\ndata: %s\n\n"):format(kind, json.encode(value)))
end

-- The end of the script is reported on a line of its own.
local function text_writer()
  local newline = "\n"
  return function(kind, value)
    if kind == "stdout" or kind == "stderr" then
      newline = value:sub(-1)
      send(value)
    else
      send(("%s[%s %s]\n"):format(newline == "\n" and "" or "\n", kind, value))
    end
  end
end

local function choose_form()
  local accepted = ngx.req.get_headers()["accept"]
  ngx.header.cache_control = "no-store"
  ngx.header.x_accel_buffering = "no" -- for another nginx in front
  if type(accepted) == "string" and accepted:find("text/event-stream", 1, true)
  then
    ngx.header.content_type = "text/event-stream"
    return put_event
  end
  ngx.header.content_type = "text/plain; charset=utf-8"
  return text_writer()
end

-- ---- the request -----------------------------------------------------------

local function run(capsule, script, put)
  local stream = wrenn.check(capsule.commands:stream(script,
    { timeout = LIMIT }))
  for ev in stream do
    if ev.type == "stdout" or ev.type == "stderr" then
      put(ev.type, ev.data)
    end
  end
  if not stream.exit_code then
    error(stream.err, 0)
  end
  put("exit", stream.exit_code)
end

local function read_script()
  ngx.req.read_body()
  return ngx.req.get_body_data()
end

function M.handle()
  if ngx.req.get_method() ~= "POST" then
    ngx.header.allow = "POST"
    return refuse(405, "POST a shell script")
  end
  local script = read_script()
  if not script then
    return refuse(400, "there is no script")
  end
  local capsule, err = wrenn.Capsule.create({ wait = true, timeout = UNUSED })
  if not capsule then -- the log gets more details than the client
    ngx.log(ngx.ERR, "no capsule: ", tostring(err))
    return refuse(502, "no capsule could be created")
  end
  local put = choose_form()
  wrenn.with(capsule, function() -- which is destroyed, whatever happens
    local ok, why = pcall(run, capsule, script, put)
    if not ok then
      ngx.log(ngx.WARN, "a script failed: ", tostring(why))
      put("failed", tostring(why))
    end
  end)
end

return M
