-- Any Lua: what a long life of connections, which are C, leaves behind over
-- proxies and TLS: nothing.

local compat = require("spec.support.compat")
local peer = require("spec.support.peer")
local tls = require("spec.support.tls")

local BEFORE, LIVES = 12, 40
-- More than chance makes of it, a table that grows for one, and some 200 bytes
-- for each life.
local BYTES = 8000

-- A cache of the C library's would look like memory that is in use.
local NO_CACHE = "env GLIBC_TUNABLES=glibc.malloc.tcache_count=0 "

-- Takes requests and WebSockets, and ends every connection itself.
local SERVER = [[
  local req = c:request()
  if req and req.headers.upgrade then
    c:upgrade(req)
    c:read_frame()
  elseif req then
    c:respond(200, "ok", { "Connection: close" })
  end
  c:close()
]]

-- Passes on what CONNECT asks for to a port of this machine, and refuses it for
-- the port 1.
local PROXY = [[
  local uv = require("luv")
  local req = c:request()
  if not req then return end
  local port = tonumber(req.path:match(":(%d+)$"))
  if port == 1 then
    c:respond(403, "no", { "Connection: close" })
    return c:close()
  end
  local far = uv.new_tcp()
  local function pass(from, to)
    from:read_start(function(_, bytes)
      if bytes and not to:is_closing() then
        to:write(bytes)
      elseif not bytes then
        if not from:is_closing() then from:close() end
        if not to:is_closing() then to:close() end
      end
    end)
  end
  far:connect("127.0.0.1", port, function(err)
    if err or c.sock:is_closing() then return far:close() end
    c:send("HTTP/1.1 200 OK\r\n\r\n")
    c.sock:read_stop()
    pass(c.sock, far)
    pass(far, c.sock)
  end)
]]

describe("a long life over proxies and TLS", function()
  local dir, server, proxy, front, secure_proxy

  setup(function()
    dir = tls.certificates()
    server, proxy = peer.start(SERVER), peer.start(PROXY)
    front = tls.front(dir .. "/good.pem", server.port)
    secure_proxy = tls.front(dir .. "/good.pem", proxy.port)
  end)

  teardown(function()
    front:stop()
    secure_proxy:stop()
    server:stop()
    proxy:stop()
    os.execute("rm -r " .. dir)
  end)

  local function plain_proxy()
    return proxy.url
  end

  local function proxy_with_tls()
    return "https://localhost:" .. secure_proxy.port
  end

  for kind, well in pairs({ http = "done", ws = "closed" }) do
    for name, way in pairs({
      ["through a proxy"] = { well, plain_proxy },
      ["through a proxy with TLS"] = { well, proxy_with_tls },
      ["to a server that is not trusted"] = { "tls", plain_proxy, ca = false },
      ["to what the proxy refuses"] = { "connect", plain_proxy, port = 1 },
      ["that is cut"] = { "cancelled", plain_proxy, cut = true },
    }) do
      it(("of %s %s leaves nothing behind"):format(kind, name), function()
        local url = ("%s://localhost:%s/"):format(kind == "ws" and "wss"
          or "https", way.port or front.port)
        local options = ("{proxy=%q,ca_file=%q,cut=%s}"):format(way[2](),
          way.ca == false and dir .. "/self_signed.pem" or dir .. "/ca.pem",
          tostring(way.cut))
        local said = compat.output_of(NO_CACHE .. ("timeout 120 %s"
          .. " spec/support/lives_main.lua %s '%s' '%s' %d %d 2>&1")
          :format(compat.lua, kind, url, options, BEFORE, LIVES))
        local ends, bytes, fds = said:match("^(%S+) (%S+) (%S+)\n$")
        assert.are.equal(way[1], ends, said)
        assert.is_true(tonumber(bytes) < BYTES and tonumber(fds) <= 0, said)
      end)
    end
  end
end)
