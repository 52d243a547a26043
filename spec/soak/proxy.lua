-- Stands between the soak and its server, and does harm to some requests:
--   lua5.4 spec/soak/proxy.lua PORT-FILE PERCENT
-- prints "PORT PID". The file has the port of the server, which may change. It
-- ends with its parent.

local uv = require("luv")

local percent = tonumber(arg[2])
local REFUSAL = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
  .. "Connection: close\r\n\r\n"

local function target()
  local file = assert(io.open(arg[1]))
  local port = tonumber(file:read("*a"))
  file:close()
  return port
end

local function shut(handle)
  if handle and not handle:is_closing() then
    handle:close()
  end
end

local function reset(handle)
  if not handle:is_closing() then
    handle:close_reset()
  end
end

-- What becomes of a request. True: it does not go on.
local harms = {
  function(link) -- it never arrives
    reset(link.near)
    shut(link.far)
    return true
  end,
  function(link) -- it is refused
    link.near:write(REFUSAL, function()
      shut(link.near)
    end)
    shut(link.far)
    return true
  end,
  function(link) -- its answer is cut
    link.cut = true
  end,
  function(link) -- its answer is late
    link.late = 500
  end,
}

local function from_client(link, bytes)
  if bytes:find("^%u+ /[^\r\n]* HTTP/1%.1\r\n")
    and math.random() * 100 < percent
    and harms[math.random(#harms)](link)
  then
    return
  end
  link.far:write(bytes)
end

local function from_server(link, bytes)
  if link.cut then
    link.near:write(bytes:sub(1, math.floor(#bytes / 2)), function()
      reset(link.near)
    end)
    shut(link.far)
  elseif link.late then
    local timer = uv.new_timer()
    link.far:read_stop()
    timer:start(link.late, 0, function()
      shut(timer)
      if not link.near:is_closing() and not link.far:is_closing() then
        link.near:write(bytes)
        link.read(link.far, link.near, from_server)
      end
    end)
    link.late = nil
  else
    link.near:write(bytes)
  end
end

local function new_link(near, far)
  local link = { near = near, far = far }
  function link.read(from, to, take)
    from:read_start(function(err, bytes)
      if err or not bytes or to:is_closing() then
        shut(to)
        shut(from)
      else
        take(link, bytes)
      end
    end)
  end
  return link
end

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", 0))
server:listen(512, function()
  local near, far = uv.new_tcp(), uv.new_tcp()
  server:accept(near)
  near:nodelay(true)
  far:connect("127.0.0.1", target(), function(err)
    if err then
      reset(near)
      return shut(far)
    end
    far:nodelay(true)
    local link = new_link(near, far)
    link.read(near, far, from_client)
    link.read(far, near, from_server)
  end)
end)

-- Writing to a closed connection must not kill the process.
uv.new_signal():start("sigpipe", function() end)

local parent = uv.os_getppid()
uv.new_timer():start(1000, 1000, function()
  if uv.os_getppid() ~= parent then
    os.exit(0)
  end
end)

math.randomseed(os.time())
print(("%d %d"):format(server:getsockname().port, uv.os_getpid()))
io.stdout:close()
uv.run()
