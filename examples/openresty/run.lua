-- POST /run: the body is a shell script, the answer its output in pieces.

local ngx = require("ngx")
local wrenn = require("wrenn")

local M = {}

local LIMIT = 30 -- seconds for a script

local function fail(status, err)
  ngx.status = status
  ngx.say(tostring(err))
  return ngx.exit(status)
end

-- Sends what comes; what the client does not take is not read further.
local function stream_output(capsule, script)
  local stream = wrenn.check(capsule.commands:stream("/bin/sh",
    { args = { "-c", script }, timeout = LIMIT }))
  for ev in stream do
    if ev.type == "stdout" or ev.type == "stderr" then
      ngx.print(ev.data)
      ngx.flush(true)
    end
  end
  ngx.say("[exit ", tostring(stream.exit_code), "]")
end

function M.handle()
  if ngx.req.get_method() ~= "POST" then
    return fail(405, "POST a shell script")
  end
  ngx.req.read_body()
  local script = ngx.req.get_body_data()
  if not script then
    return fail(400, "there is no script")
  end
  -- It stops by itself should this worker die before it can destroy it.
  local capsule, err = wrenn.Capsule.create({ wait = true, timeout = 60 })
  if not capsule then
    return fail(502, err)
  end
  local ok
  ok, err = pcall(stream_output, capsule, script)
  capsule:destroy()
  if not ok then
    ngx.say("[failed: ", tostring(err), "]")
  end
end

return M
