-- Any Lua: how connections are made, which is C: proxies, trust, addresses,
-- descriptors. The rules are the same for requests and WebSockets, so each is
-- tested with both.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local peer = require("spec.support.peer")
local system = require("spec.c.system")
local tls = require("spec.support.tls")

local KINDS = { "http", "ws" }
local GOOD = { http = "done 200", ws = "opened" }

-- A server, and a proxy whose answer to CONNECT comes in pieces.
local SERVER = [[
  while true do
    local req = c:request()
    if not req then
      return
    elseif req.method == "CONNECT" then
      for _, part in ipairs({ "HTTP/1.1 2", "99\r\nX: y\r", "\n\r", "\n" }) do
        c:send(part)
        c:sleep(0.01)
      end
      local first = c:read(1)
      if first == "\22" then return c:close() end -- TLS, which it has not
      c.input = (first or "") .. c.input
    elseif req.headers["upgrade"] then
      c:upgrade(req)
      c:read_frame()
      return
    else
      c:respond(200, "ok")
    end
  end
]]
local SOCKS = [[
  local version = c:read(1)
  if version == "\4" then
    local name = c:read(7) and c:read_to("\0") and c:read_to("\0")
    log("socks4 " .. name:sub(1, -2))
    c:send("\0\90\0\0\0\0\0\0")
  else
    local methods = c:read(c:read(1):byte())
    if methods:find("\2", 1, true) then
      c:send("\5\2")
      c:read(1)
      local user = c:read(c:read(1):byte())
      log(user .. " " .. c:read(c:read(1):byte()))
      c:send("\1\0")
    else
      c:send("\5\0")
    end
    local kind = c:read(4):byte(4)
    log("socks5 " .. (kind == 3 and c:read(c:read(1):byte())
      or table.concat({ c:read(4):byte(1, 4) }, ".")))
    c:read(2)
    c:send("\5\0\0\1\0\0\0\0\0\0")
  end
]] .. SERVER

local PLAIN_ENVIRONMENT = "env -u http_proxy -u https_proxy -u all_proxy"
  .. " -u no_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u NO_PROXY"
  .. " -u SSL_CERT_FILE -u SSL_CERT_DIR"

-- What became of one connection in a process of its own.
local function connect(kind, url, options, environment, rest)
  local fields = {}
  for name, value in pairs(options or {}) do
    fields[#fields + 1] = ("%s=%q"):format(name, value)
  end
  local words = { PLAIN_ENVIRONMENT,
    "LD_PRELOAD=" .. compat.built("spec/c/hosts.so"), "WRENN_SPEC_HOSTS=none" }
  for name, value in pairs(environment or {}) do
    words[#words + 1] = ("%s='%s'"):format(name, value)
  end
  return (compat.output_of(("%s timeout 60 %s spec/support/connect_main.lua"
    .. " %s '%s' '{%s}' %s"):format(table.concat(words, " "), compat.lua, kind,
      url, table.concat(fields, ","), rest or "2>&1")):gsub("\n$", ""))
end

local peers = {}
local function start(script, address)
  peers[#peers + 1] = peer.start(script, address)
  return peers[#peers]
end

local function received(p)
  return table.concat(p:received(), "\n")
end

local dir, fronts = nil, {}
setup(function()
  dir = tls.certificates()
end)

local function front(certificate, p, how)
  fronts[#fronts + 1] = tls.front(dir .. "/" .. certificate .. ".pem", p.port,
    how)
  return fronts[#fronts].port
end

after_each(function()
  for _, p in ipairs(peers) do
    p:stop()
  end
  for _, f in ipairs(fronts) do
    f:stop()
  end
  peers, fronts = {}, {}
end)

teardown(function()
  os.execute("rm -rf " .. dir)
end)

for _, kind in ipairs(KINDS) do
  local good = GOOD[kind]
  -- What an HTTP proxy is asked for.
  local asked = kind == "http" and "GET http://far.invalid/"
    or "CONNECT far.invalid:80 "

  describe("a proxy for " .. kind, function()
    for _, scheme in ipairs({ "http://", "HTTP://", "" }) do
      it(("may be written with '%s'"):format(scheme), function()
        local p = start(SERVER)
        local proxy = scheme .. p.url:match("//(.*)")
        assert.are.equal(good,
          connect(kind, "http://far.invalid/", { proxy = proxy }))
        assert.are.equal(1, received(p):find(asked, 1, true))
      end)
    end

    for scheme, log in pairs({
      socks4a = "socks4 far.invalid", socks5h = "socks5 far.invalid",
      SOCKS5 = "socks5 192.0.2.7", socks4 = "socks4 ",
    }) do
      it("may be " .. scheme, function()
        local p = start(SOCKS)
        local name = log:find("far") and "far.invalid" or "192.0.2.7"
        if scheme == "socks4" then -- an address, and so no name
          p:stop()
          p = start((SOCKS:gsub(' and c:read_to%("\\0"%)\n', "\n", 1)))
        end
        assert.are.equal(good, connect(kind, ("http://%s/"):format(name),
          { proxy = scheme .. p.url:match("(://.*)") }))
        assert.are.equal(1, received(p):find(log, 1, true))
      end)
    end

    it("may be https, and is verified", function()
      local p = start(SERVER)
      local proxy = "https://localhost:" .. front("good", p)
      local said = connect(kind, "http://far.invalid/", { proxy = proxy })
      assert.are.equal(1, said:find("failed tls"), said)
      assert.are.equal(good, connect(kind, "http://far.invalid/",
        { proxy = proxy, ca_file = dir .. "/ca.pem" }))
      assert.are.equal(1, received(p):find(asked, 1, true))
    end)

    it("gets credentials decoded, of any length", function()
      local p = start(SERVER)
      local word = ("w"):rep(600)
      assert.are.equal(good, connect(kind, "http://far.invalid/",
        { proxy = "http://u%40x:p%3A" .. word .. "@" .. p.url:sub(8) }))
      local sent = received(p):match("Proxy%-Authorization: Basic (%S+)")
      assert.are.equal("u@x:p:" .. word, core.base64_decode(sent))
      p = start(SOCKS)
      assert.are.equal(good, connect(kind, "http://far.invalid/",
        { proxy = "socks5h://u%40x:p%3A@" .. p.url:sub(8) }))
      assert.are.equal(1, received(p):find("u@x p:", 1, true))
    end)

    it("may be at an IPv6 address, written or looked up", function()
      local p = start(SERVER, "::1")
      assert.are.equal(good,
        connect(kind, "http://far.invalid/", { proxy = p.url }))
      assert.are.equal(good, connect(kind, "http://far.invalid/",
        { proxy = "http://six.invalid:" .. p.port },
        { WRENN_SPEC_HOSTS = "six.invalid=::1" }))
    end)

    -- An address that is no loopback's and still of this machine.
    local function here(p)
      return "http://0.0.0.0:" .. p.port .. "/"
    end

    local cases = {
      { "http_proxy", "http", true },
      { "HTTP_PROXY", "http", false }, -- a CGI program's caller can set it
      { "https_proxy", "http", false },
      { "https_proxy", "https", true }, { "HTTPS_PROXY", "https", true },
      { "all_proxy", "http", true }, { "ALL_PROXY", "https", true },
    }
    for _, case in ipairs(cases) do
      it(("comes from %s, for %s: %s"):format(case[1], case[2],
        tostring(case[3])), function()
        local p, target = start(SERVER), start(SERVER)
        connect(kind, here(target):gsub("^http", case[2]), {},
          { [case[1]] = p.url })
        assert.are.equal(case[3], #received(p) > 0)
      end)
    end

    for _, case in ipairs({
      { "0.0.0.0", true }, { "0.0.0.0/8", true }, { "*", true },
      { "x, 0.0.0.0", true }, { "1.0.0.0/8", false }, { "0.0.0", false },
    }) do
      it(("is not asked for what NO_PROXY=%s holds: %s"):format(case[1],
        tostring(case[2])), function()
        local p, target = start(SERVER), start(SERVER)
        assert.are.equal(good, connect(kind, here(target), {},
          { http_proxy = p.url, NO_PROXY = case[1] }))
        assert.are.equal(case[2], #received(p) == 0)
        -- An explicit proxy is for every host.
        assert.are.equal(good, connect(kind, here(target), { proxy = p.url },
          { NO_PROXY = case[1] }))
        assert.is_truthy(received(p):find(" [^ ]*0.0.0.0:"))
      end)
    end

    for name, direct in pairs({
      ["a.corp.invalid"] = true, ["A.Corp.Invalid"] = true,
      ["a.corp.invalid."] = true, ["acorp.invalid"] = false,
      ["localhost.invalid"] = false, ["127.0.0.1.corp.example.invalid"] = false,
    }) do
      it(("is asked for %s: %s"):format(name, tostring(not direct)), function()
        local p = start(SERVER)
        local said = connect(kind, ("http://%s/"):format(name), {},
          { all_proxy = p.url, no_proxy = ".corp.invalid" })
        if direct then
          assert.are.equal(1, said:find("failed resolve"), said)
        else
          assert.are.equal(good, said)
        end
      end)
    end

    for _, host in ipairs({ "127.0.0.1", "localhost", "x.localhost",
      "LOCALHOST", "[::1]" }) do
      it("is never one of the environment's for " .. host, function()
        local p = start(SERVER)
        local target = start(SERVER, host == "[::1]" and "::1" or nil)
        assert.are.equal(good, connect(kind,
          ("http://%s:%s/"):format(host, target.port), {}, { all_proxy = p.url,
          WRENN_SPEC_HOSTS = "x.localhost=127.0.0.1" }))
        assert.are.equal("", received(p))
      end)
    end

    for proxy, error in pairs({
      ["http://127.0.0.1:1"] = "failed connect",
      ["ftp://127.0.0.1:1"] = "failed connect",
      ["http://" .. peer.NOWHERE] = "failed resolve",
      ["socks5://127.0.0.1:1"] = "failed",
    }) do
      it(("that cannot be used, %s, is an error"):format(proxy), function()
        local target = start(SERVER)
        for _, how in ipairs({ { { proxy = proxy } },
          { {}, { all_proxy = proxy } } }) do
          local said = connect(kind, here(target), how[1], how[2])
          assert.are.equal(1, said:find(error, 1, true), said)
          assert.are.equal("", received(target))
        end
      end)
    end
  end)

  describe("trust for " .. kind, function()
    local function url(port)
      return ("https://localhost:%s/"):format(port)
    end

    it("is in ca_file, then in SSL_CERT_FILE or _DIR", function()
      local port = front("good", start(SERVER))
      local ca, other = dir .. "/ca.pem", dir .. "/self_signed.pem"
      os.execute(("mkdir -p %s/hashed && cp %s %s/hashed/ca.pem"
        .. " && openssl rehash %s/hashed"):format(dir, ca, dir, dir))
      for _, case in ipairs({
        { good, {}, { SSL_CERT_FILE = ca } },
        { good, {}, { SSL_CERT_DIR = dir .. "/hashed" } },
        { good, { ca_file = ca }, { SSL_CERT_FILE = other } },
        { "failed tls", {}, {} },
        { "failed tls", {}, { SSL_CERT_FILE = other } },
        { "failed tls", { ca_file = other }, { SSL_CERT_FILE = ca } },
      }) do
        local said = connect(kind, url(port), case[2], case[3])
        assert.are.equal(1, said:find(case[1], 1, true), said)
      end
    end)

    it("covers IPv6 addresses in certificates", function()
      local port = front("good", start(SERVER), "pf=ip6,bind=[::1]")
      assert.are.equal(good, connect(kind, ("https://[::1]:%s/"):format(port),
        { ca_file = dir .. "/ca.pem" }))
    end)

    it("takes TLS 1.2 at least, also where the system allows less", function()
      local path = dir .. "/openssl.cnf"
      local file = assert(io.open(path, "w"))
      file:write("openssl_conf = a\n[a]\nssl_conf = b\n[b]\n"
        .. "system_default = c\n"
        .. "[c]\nMinProtocol = TLSv1\nCipherString = ALL@SECLEVEL=0\n")
      file:close()
      for version, expected in pairs({ ["TLS1.1"] = "failed tls",
        ["TLS1.2"] = good }) do
        local port = front("good", start(SERVER), "bind=127.0.0.1,"
          .. "openssl-min-proto-version=TLS1.0,openssl-max-proto-version="
          .. version .. ",ciphers=ALL:@SECLEVEL=0")
        local said = connect(kind, url(port), { ca_file = dir .. "/ca.pem" },
          { OPENSSL_CONF = path })
        assert.are.equal(1, said:find(expected, 1, true), said)
      end
    end)
  end)

  describe("addresses for " .. kind, function()
    for name, dead in pairs({ ["an IPv6 address"] = "::1",
      ["the first of two of one family"] = "127.0.0.9" }) do
      it(("may be dead: %s"):format(name), function()
        local p = start(SERVER)
        system.deaf(dead, tonumber(p.port))
        local begin = core.now()
        assert.are.equal(good, connect(kind,
          ("http://two.invalid:%s/"):format(p.port), { connect = 10 }, {
            WRENN_SPEC_HOSTS = "two.invalid=" .. dead .. ",127.0.0.1" }))
        -- Who waits for that one alone has failed after ten.
        assert.is_true(core.now() - begin < 30)
      end)
    end
  end)

  it("no descriptor for " .. kind .. " is a standard stream", function()
    local p = start(SERVER)
    local path = os.tmpname()
    for _, host in ipairs({ "127.0.0.1", "two.invalid" }) do
      connect(kind, ("http://%s:%s/"):format(host, p.port), {}, {
        WRENN_SPEC_HOSTS = "two.invalid=127.0.0.1,127.0.0.1" },
        path .. " <&- >&- 2>&-")
      local file = assert(io.open(path))
      local text = file:read("*a")
      file:close()
      assert.is_truthy(text:find("\n" .. good), text)
      assert.is_truthy(text:find("socket:"), text)
      for line in text:gmatch("[^\n]+") do
        local fd, what = line:match(" (%d+) %-> (%a+)")
        assert.is_false((what == "socket" or what == "anon")
          and tonumber(fd) < 3, text)
      end
    end
    os.remove(path)
  end)
end
