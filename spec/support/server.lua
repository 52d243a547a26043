-- A wrenn-local for specs, each with its own data folder and key.

local children = require("spec.support.children")

local wrenn_local = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"

local server = {}
server.__index = server

local KEY = "wrn_0123456789abcdef0123456789abcdef"

local core = require("wrenn.core")

--- A number that is unique among runs of the specs, for names on this machine.
function server.unique()
  local a, b = core.random(2):byte(1, 2)
  return 10000 + a * 256 + b
end

--- Starts a server. `args` are further command-line words, `environment`
--- assignments of the shell (strings). Returns it with `url`, `key` and `pid`.
--- Its capsules have the network of this machine, where the specs' own services
--- are, unless `args` say otherwise.
function server.start(args, environment)
  local self = setmetatable({ key = KEY }, server)
  local command = ("echo $$; exec env WRENN_LOCAL_TEMPLATES= %s %s"
    .. " --listen 127.0.0.1:0 --network host --api-key %s %s")
    :format(environment or "", wrenn_local, KEY, args or "")
  self.pipe = assert(io.popen(command))
  self.pid = assert(tonumber(self.pipe:read("*l")))
  local line = self.pipe:read("*l")
  self.url = line and line:match("(http://%S+)")
  if not self.url then
    self.pipe:close()
    error("wrenn-local did not start: " .. tostring(line))
  end
  children.add(self)
  return self
end

--- Options that point a client, a capsule or a class-level call at the server.
function server:options(more)
  local options = { base_url = self.url, api_key = self.key }
  for name, value in pairs(more or {}) do
    options[name] = value
  end
  return options
end

--- Ends the server with a signal (default TERM) and waits for its end.
function server:stop(signal)
  children.remove(self)
  if self.pipe then
    os.execute(("kill -%s %d"):format(signal or "TERM", self.pid))
    self.pipe:close()
    self.pipe = nil
  end
end

return server
