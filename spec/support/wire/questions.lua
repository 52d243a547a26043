-- Raw questions to a server, and its answers in a form that can be compared:
-- what differs from one run to the next is named instead of shown.

local core = require("wrenn.core")
local wire = require("spec.support.wire")

local unpack = table.unpack or unpack

local questions = { names = {} }

local FORM = { headers = { "Content-Type: multipart/form-data; boundary=b" } }
local NOBODY = "/v1/capsules/cl-0000000000000000000000000"
local SILENT = 1.5 -- seconds after which a socket counts as open

-- Lua patterns that end an id or a time, and what stands for it.
local function normal(text)
  text = text:gsub("cl%-" .. ("[0-9a-z]"):rep(25), "CL")
    :gsub("%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z", "TIME")
    :gsub('"(%a+_ip)":"[^"]*"', '"%1":"IP"')
    :gsub('("type":"directory","size":)%d+', "%1N") -- the file system's
    :gsub('"([%a_]+)":%d+', function(name)
      local differs = { duration_ms = true, pid = true, modified_at = true,
        size_bytes = true }
      return differs[name] and '"' .. name .. '":N' or nil
    end)
    :gsub("proc%-%w+", "PROC")
    :gsub("req_" .. ("%x"):rep(16), "REQ")
    :gsub('"(%a+_version)":"[^"]*"', '"%1":"V"')
  return (text:gsub("^%s+", ""):gsub("%s+$", ""):sub(1, 260))
end

local function quoted(text)
  local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\r"] = "\\r",
    ["\n"] = "\\n" }
  return '"' .. text:gsub('[\\"\r\n]', escapes) .. '"'
end

local function normal_tag(text)
  return (text:gsub("pty%-" .. ("%x"):rep(8), "PTY"))
end

-- A frame as a word for its type and the rest in order.
local function shown(message)
  local parts = {}
  for name, value in pairs(message) do
    if name ~= "type" then
      parts[#parts + 1] = name .. "=" .. (type(value) == "string"
        and quoted(normal_tag(value)) or name == "pid" and "N"
        or (tostring(value):gsub("%.0$", "")))
    end
  end
  table.sort(parts)
  return "< " .. table.concat({ message.type, unpack(parts) }, " ")
end

-- ---- asking ----------------------------------------------------------------

local Asker = {}
Asker.__index = Asker

local function keep(self, name, answer)
  self.answers[name] = answer
  if not self.known[name] then
    self.known[name] = true
    table.insert(questions.names, name)
  end
end

function Asker:ask(name, method, path, body, options)
  local answer = self.wire:request(method, path, body, options)
  local line = ("%d %s %s %s"):format(answer.status,
    wire.header(answer, "Content-Type") or "-",
    wire.header(answer, "Transfer-Encoding") and "chunked" or "-",
    normal(answer.body))
  keep(self, name, { (line:gsub(" $", "")) })
end

-- Opens a WebSocket, has `script(socket, lines)` talk, and reads on until it
-- ends or is silent. How output is cut into frames is up to chance.
function Asker:talk(name, path, script)
  local lines, output = {}, ""
  local socket = assert(self.wire:open(path))
  local function flush()
    if output ~= "" then
      lines[#lines + 1] = "< output " .. quoted(output)
    end
    output = ""
  end
  local function take(message)
    if message.binary or message.type == "output" then
      output = output .. wire.output(message)
    elseif message.type ~= "ping" then
      flush()
      lines[#lines + 1] = shown(message)
    end
    return message
  end
  if script then
    script(socket, function()
      return take(assert(socket:read()))
    end)
  end
  while true do
    local message, how = socket:read(SILENT)
    if not message then
      flush()
      lines[#lines + 1] = how == "silent" and "(open)" or "< EOF"
      break
    end
    take(message)
  end
  socket:cancel()
  keep(self, name, lines)
end

-- ---- the questions ---------------------------------------------------------

local function form(parts, is_cut)
  local text = ""
  for _, part in ipairs(parts) do
    local file = part[1] == "file" and '; filename="f"' or ""
    text = text .. '--b\r\nContent-Disposition: form-data; name="' .. part[1]
      .. '"' .. file .. "\r\n\r\n" .. part[2] .. "\r\n"
  end
  return is_cut and text:sub(1, -3) or text .. "--b--\r\n"
end

local function about_transport(q)
  q:ask("no key", "GET", "/v1/capsules", nil, { key = false })
  q:ask("bearer", "GET", "/v1/capsules", nil,
    { key = false, headers = { "Authorization: Bearer x" } })
  q:ask("unknown route", "GET", "/v1/nope")
  q:ask("unknown root", "GET", "/nope")
  q:ask("method put", "PUT", "/v1/capsules")
  q:ask("method delete", "DELETE", "/v1/capsules")
  q:ask("head", "HEAD", "/v1/capsules")
  q:ask("options", "OPTIONS", "/v1/capsules")
  for name, body in pairs({ ["bad json"] = "{", empty = "", array = "[]",
    types = { vcpus = "x" }, ["bad template"] = { template = "../x" } }) do
    q:ask("create " .. name, "POST", "/v1/capsules", body)
  end
end

local function about_exec(q, path)
  for name, body in pairs({
    nothing = {}, ["no cmd"] = { args = { "x" } }, ["bad json"] = "{",
    types = { cmd = 5 }, ["args null"] = '{"cmd":"/bin/echo","args":null}',
    ["no such program"] = { cmd = "/nope" },
    ["a line for a name"] = { cmd = "ls -la /" },
    background = { cmd = "/bin/sleep", args = { "1" }, background = true },
    ["background bad cwd"] = { cmd = "/bin/sleep", args = { "1" },
      background = true, cwd = "/x" },
    timeout = { cmd = "/bin/sleep", args = { "5" }, timeout_sec = 1 },
    ["negative timeout"] = { cmd = "/bin/true", timeout_sec = -1 },
    bytes = { cmd = "/usr/bin/printf", args = { "\\377" } },
    ["huge timeout"] = '{"cmd":"/bin/true","timeout_sec":99999999999}',
  }) do
    q:ask("exec " .. name, "POST", path .. "/exec", body)
  end
end

local function about_files(q, files)
  local function each(call, list)
    for _, pair in ipairs(list) do
      q:ask(call .. " " .. pair[1], "POST", files .. call, pair[2])
    end
  end
  for _, call in ipairs({ "read", "stream/read" }) do
    each(call, { { "no path", {} }, { "missing", { path = "/x" } },
      { "directory", { path = "/root" } } })
  end
  each("read", { { "~user", { path = "~foo/x" } } })
  each("list", { { "no path", {} }, { "missing", { path = "/x" } },
    { "a file", { path = "/etc/hostname" } },
    { "negative depth", { path = "/home", depth = -1 } } })
  each("mkdir", { { "new", { path = "/root/q/w" } },
    { "again", { path = "/root/q/w" } },
    { "on a file", { path = "/etc/hostname" } }, { "no path", {} },
    { "below a file", { path = "/etc/hostname/x" } } })
  each("remove", { { "missing", { path = "/x" } }, { "no path", {} },
    { "a tree", { path = "/root/q" } } })
  for _, call in ipairs({ "write", "stream/write" }) do
    local to = { "path", "/root/z" }
    q:ask(call .. " no form", "POST", files .. call, "x")
    for name, body in pairs({ ["no path"] = form({ { "file", "hi" } }),
      ["no file"] = form({ to }),
      ["cut off"] = form({ to, { "file", "half" } }, true) }) do
      q:ask(call .. " " .. name, "POST", files .. call, body, FORM)
    end
  end
  q:ask("what that left", "POST", files .. "read", { path = "/root/z" })
  q:ask("stream/write file first", "POST", files .. "stream/write",
    form({ { "file", "hi" }, { "path", "/root/z2" } }), FORM)
end

local function about_the_rest(q, path)
  q:ask("kill unknown pid", "DELETE", path .. "/processes/99999")
  q:ask("kill unknown tag", "DELETE", path .. "/processes/nope")
  q:ask("kill odd signal", "DELETE", path .. "/processes/99999?signal=SIGHUP")
  q:ask("metrics bad range", "GET", path .. "/metrics?range=bad")
  q:ask("stats bad range", "GET", "/v1/capsules/stats?range=bad")
  q:ask("usage bad date", "GET", "/v1/capsules/usage?from=x")
  q:ask("usage too long", "GET",
    "/v1/capsules/usage?from=2020-01-01&to=2026-01-01")
  q:ask("resume running", "POST", path .. "/resume")
  q:ask("ping", "POST", path .. "/ping")
  for name, body in pairs({ ["no id"] = {}, ["bad json"] = "{",
    ["bad id"] = { sandbox_id = "x" },
    unknown = { sandbox_id = NOBODY:match("cl%-.*") } }) do
    q:ask("snapshot " .. name, "POST", "/v1/snapshots", body)
  end
  q:ask("snapshot delete bad", "DELETE", "/v1/snapshots/a%20b")
  q:ask("pty without upgrade", "GET", path .. "/pty")
  q:ask("pty bad id", "GET", "/v1/capsules/zz/pty")
  q:ask("pty unknown id", "GET", NOBODY .. "/exec/stream")
end

-- Sends the messages; waits for what each has in `await`.
local function sends(list)
  return function(socket, read)
    for _, message in ipairs(list) do
      local await = message.await
      message.await = nil
      socket:send(message)
      while await do
        await = read().type ~= await and await
      end
    end
  end
end

local function about_streams(q, path)
  local stream = path .. "/exec/stream"
  q:talk("exec unknown capsule", NOBODY .. "/exec/stream")
  q:talk("exec bad start", stream, sends({ { type = "x" } }))
  q:talk("exec no cmd", stream, sends({ { type = "start" } }))
  q:talk("exec", stream,
    sends({ { type = "start", cmd = "/bin/echo", args = { "hi" } } }))
  q:talk("exec stream no such program", stream,
    sends({ { type = "start", cmd = "/nope" } }))
  q:talk("exec stop", stream, sends({
    { type = "start", cmd = "/bin/sleep", args = { "3" }, await = "start" },
    { type = "stop" } }))
  q:talk("process unknown pid", path .. "/processes/99999/stream")
  q:talk("process unknown tag", path .. "/processes/nope/stream")
  q:talk("pty bad first", path .. "/pty", sends({ { type = "x" } }))
  q:talk("pty connect no tag", path .. "/pty", sends({ { type = "connect" } }))
  q:talk("pty connect unknown", path .. "/pty",
    sends({ { type = "connect", tag = "pty-0" } }))
  q:talk("pty exit", path .. "/pty", sends({ { type = "start", cmd = "/bin/sh",
    args = { "-c", "echo x; exit 3" } } }))
end

-- Input in another encoding than the generation's is no input.
local function about_input(q, path, takes_base64)
  q:talk("pty odd input", path .. "/pty", function(socket, read)
    local seen = ""
    sends({ { type = "start", cmd = "/bin/cat", await = "started" },
      { type = "input", data = "!!!" },
      { type = "input", data = core.base64_encode("ok\n") },
      { type = "resize", cols = 0, rows = 5 } })(socket, read)
    while takes_base64 and seen ~= "ok\r\nok\r\n" do
      seen = seen .. wire.output(read())
    end
    socket:send({ type = "kill" })
  end)
end

local function about_the_end(q, path, id)
  q:ask("pause", "POST", path .. "/pause")
  q:ask("pause again", "POST", path .. "/pause")
  q:ask("paused ping", "POST", path .. "/ping")
  q:ask("paused exec", "POST", path .. "/exec", { cmd = "x" })
  q:ask("paused list", "POST", path .. "/files/list", { path = "/" })
  q:ask("paused processes", "GET", path .. "/processes")
  q:ask("destroy", "DELETE", path)
  q:ask("destroy again", "DELETE", path)
  q.wire:until_status(id, "stopped")
  q:ask("stopped pause", "POST", path .. "/pause")
  q:ask("stopped resume", "POST", path .. "/resume")
  q:ask("stopped snapshot", "POST", "/v1/snapshots", { sandbox_id = id })
end

--- Asks a server everything: the answers by name, each a list of lines.
function questions.ask(server, takes_base64)
  local known = {}
  for _, name in ipairs(questions.names) do
    known[name] = true
  end
  local q = setmetatable({ wire = wire.new(server), answers = {},
    known = known }, Asker)
  local path, id = q.wire:create()
  about_transport(q)
  about_exec(q, path)
  about_files(q, path .. "/files/")
  about_the_rest(q, path)
  about_streams(q, path)
  about_input(q, path, takes_base64)
  about_the_end(q, path, id)
  q.wire:close()
  return q.answers
end

--- What was observed of a version of the real server, in the same form.
function questions.observed(version)
  local answers, name = {}, nil
  for line in io.lines("spec/support/wire/" .. version .. ".txt") do
    if line:sub(1, 2) == "# " then
      name = line:sub(3)
      answers[name] = {}
    elseif line ~= "" then
      table.insert(answers[name], line)
    end
  end
  return answers
end

return questions
