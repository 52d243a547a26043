-- nginx with Lua, as unpacked by scripts/nginx.sh, and a client for it.

local core = require("wrenn.core")
local host = require("spec.support.host")
local servers = require("spec.support.server")

local nginx = {}
nginx.__index = nginx

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

-- Not one that the kernel gives to whoever connects: it could be taken before
-- nginx is there.
local function free_port()
  local uv = require("luv")
  local range = "/proc/sys/net/ipv4/ip_local_port_range"
  local first = tonumber(host.read_file(range):match("%d+"))
  local port, bound
  repeat
    local socket = uv.new_tcp()
    port = 10000 + servers.unique() % (first - 10000)
    bound = socket:bind("127.0.0.1", port) and socket:listen(1, print)
    socket:close()
    uv.run() -- luv crashes at the end over a handle that is half closed
  until bound
  return port
end

local function launch(self, server, command)
  self.pipe = assert(io.popen(("echo $$; export WRENN_BASE_URL=%s"
    .. " WRENN_API_KEY=%s; exec %s 2>&1"):format(server.url, server.key,
      command)))
  self.pid = tonumber(self.pipe:read("*l"))
  self.loop = assert(core.loop())
  local deadline = core.now() + 120 -- the example builds the module first
  repeat
    os.execute("sleep 0.05")
    local status = self:get("/phases")
  until status or core.now() > deadline
  return self
end

--- Starts nginx with a configuration file in which @ROOT@, @TREE@ and @PORT@
--- are replaced. `words`: environment variables, as arguments of env(1).
function nginx.start(server, conf, words)
  local command = output_of("scripts/nginx.sh"):match("^[^\n]+")
  assert(command, "scripts/nginx.sh failed")
  local tree = output_of("pwd"):match("^[^\n]+")
  local self = setmetatable({
    port = free_port(), dir = output_of("mktemp -d"):match("^[^\n]+"),
  }, nginx)
  local text = host.read_file(conf):gsub("@(%u+)@", {
    ROOT = tree .. "/build/nginx/root", TREE = tree, PORT = self.port,
  })
  local file = assert(io.open(self.dir .. "/nginx.conf", "w"))
  file:write(text)
  file:close()
  return launch(self, server, ("env %s %s -p %s -c nginx.conf")
    :format(words or "", command, self.dir))
end

--- Starts examples/openresty as described in its README.
function nginx.start_example(server)
  local self = setmetatable({ port = free_port() }, nginx)
  return launch(self, server, "env WRENN_SKIP_SETUP=1 scripts/openresty.sh "
    .. self.port)
end

function nginx:signal(name)
  os.execute(("kill -%s %d"):format(name, self.pid))
end

--- Stops it gracefully; returns its log.
function nginx:stop()
  self:signal("QUIT")
  local said = self.pipe:read("*a")
  self.pipe:close()
  self.loop:close()
  if not self.dir then -- the example's errors go there
    return said
  end
  local log = host.read_file(self.dir .. "/error.log")
  os.execute("rm -r " .. self.dir)
  return log
end

--- Starts a request; `body` makes it a POST. `headers` are lines.
function nginx:begin(path, body, headers)
  return assert(self.loop:http({
    url = ("http://127.0.0.1:%d%s"):format(self.port, path), stream = true,
    method = body and "POST" or "GET", body = body, total = 150,
    headers = headers,
  }))
end

--- Takes events until each of the requests has had one of this kind, or its
--- last. Returns the bodies by id.
function nginx:wait(ops, kind)
  local bodies, wanted = {}, {}
  local count = #ops
  for i = 1, count do
    wanted[ops[i]:id()] = true
  end
  while count > 0 do
    assert(self.loop:wait(30))
    local id, name, a, _, c = self.loop:next()
    while id do
      if name == "chunk" then
        bodies[id] = (bodies[id] or "") .. a
      elseif name == "done" then
        bodies[id] = (bodies[id] or "") .. c
      end
      if wanted[id] and (name == kind or name == "done" or name == "failed")
      then
        wanted[id] = nil
        count = count - 1
      end
      id, name, a, _, c = self.loop:next()
    end
  end
  return bodies
end

--- Makes a request: status, body, header lines; or nil and the reason.
function nginx:get(path, body, lines)
  local op = self:begin(path, body, lines)
  local headers
  while true do
    assert(self.loop:wait(60))
    local text = headers and headers.text or ""
    local id, name, a, b, c = self.loop:next()
    while id do
      if name == "headers" then
        headers = { lines = b, text = "" }
        text = ""
      elseif name == "chunk" then
        text = text .. a
      elseif name == "done" and id == op:id() then
        return a, text .. c, headers and headers.lines or b
      elseif name == "failed" and id == op:id() then
        return nil, b
      end
      id, name, a, b, c = self.loop:next()
    end
    if headers then
      headers.text = text
    end
  end
end

--- The pids of its worker processes.
function nginx:workers()
  local list = {}
  local children = host.read_file(
    ("/proc/%d/task/%d/children"):format(self.pid, self.pid))
  for pid in children:gmatch("%d+") do
    list[#list + 1] = tonumber(pid)
  end
  return list
end

--- The number of sockets that a process has open.
function nginx.count_sockets(pid)
  return tonumber(output_of(
    ("ls -l /proc/%d/fd | grep -c socket:"):format(pid)))
end

return nginx
