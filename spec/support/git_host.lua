-- A server for git repositories over HTTP, with a password, on loopback: a
-- scripted peer in front of git's http-backend.

local core = require("wrenn.core")
local peer = require("spec.support.peer")

local git_host = {}

-- Runs in the peer, once for each connection. Asks before it answers:
-- ROOT, AUTHORIZATION and GO (a file) stand in front of it.
local SCRIPT = [=[
local function quoted(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

local function backend(req)
  local path, query = req.path:match("^([^?]*)%??(.*)$")
  local envs = {
    GIT_PROJECT_ROOT = ROOT, GIT_HTTP_EXPORT_ALL = "1", REMOTE_USER = "user",
    PATH_INFO = path, QUERY_STRING = query, REQUEST_METHOD = req.method,
    CONTENT_TYPE = req.headers["content-type"] or "",
    HTTP_CONTENT_ENCODING = req.headers["content-encoding"] or "",
    GIT_PROTOCOL = req.headers["git-protocol"] or "",
  }
  local name = os.tmpname()
  local file = io.open(name, "wb")
  file:write(req.body)
  file:close()
  local words = { "env" }
  for key, value in pairs(envs) do
    words[#words + 1] = quoted(key .. "=" .. value)
  end
  local pipe = io.popen(table.concat(words, " ") .. " git http-backend <"
    .. name .. " 2>/dev/null")
  local answer = pipe:read("a")
  pipe:close()
  os.remove(name)
  local head, body = answer:match("^(.-)\r\n\r\n(.*)$")
  local lines, status = {}, 200
  for line in head:gmatch("[^\r\n]+") do
    status = tonumber(line:match("^Status: (%d+)")) or status
    lines[#lines + 1] = not line:find("^Status") and line or nil
  end
  c:respond(status, body, lines)
end

while true do
  local req = c:request()
  if not req then
    return
  end
  if AUTHORIZATION ~= "" and req.headers.authorization ~= AUTHORIZATION then
    c:respond(401, "", { 'WWW-Authenticate: Basic realm="here"' })
  else
    while GO and not io.open(GO) do c:sleep(0.02) end
    backend(req)
  end
end
]=]

local function shell(command)
  local pipe = io.popen("( " .. command .. " ) 2>&1")
  local output = pipe:read("*a")
  assert(pipe:close(), output)
  return output
end

git_host.shell = shell

--- Starts a server with one repository, /repo.git, with one commit on main.
--- opts: username, password (none: open to all), go (who may come in is answered
--- once this file is there).
function git_host.start(opts)
  local root = shell("mktemp -d"):match("%S+")
  shell(([[cd %s && git init -q --bare -b main repo.git &&
    git init -q -b main work && cd work && echo one >README.md &&
    git add . && git -c user.name=n -c user.email=e commit -qm one &&
    git push -q ../repo.git main]]):format(root))
  local authorization = opts.password and "Basic "
    .. core.base64_encode(opts.username .. ":" .. opts.password) or ""
  local self = peer.start(("local ROOT, AUTHORIZATION, GO = %q, %q, %s\n")
    :format(root, authorization, opts.go and ("%q"):format(opts.go) or "nil")
    .. SCRIPT)
  self.root = root
  return self
end

--- Stops it, or another peer, and removes its repositories.
function git_host.stop(host)
  host:stop()
  if host.root then
    shell("rm -rf " .. host.root)
  end
end

return git_host
