-- Configuration: keys, URLs, proxies and TLS settings; the events about requests.

local core = require("wrenn.core")
local compat = require("spec.support.compat")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

-- Runs Lua code in a process with the given environment; returns its output.
local function run_with(environment, code)
  local words = { "env", "-u", "WRENN_API_KEY", "-u", "WRENN_BASE_URL", "-u",
    "WRENN_PROXY_DOMAIN" }
  for name, value in pairs(environment) do
    words[#words + 1] = ("%s='%s'"):format(name, value)
  end
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write("local wrenn = require('wrenn') ", code)
  file:close()
  words[#words + 1] = compat.lua
  words[#words + 1] = path .. " 2>&1"
  local output = compat.output_of(table.concat(words, " "))
  os.remove(path)
  return (output:gsub("\n$", "")), path
end

describe("a client", function()
  it("without a key says what to set", function()
    local said, path = run_with({}, "print(wrenn.Client())")
    assert.are.equal("nil\tConfigurationError: No API key provided: set"
      .. " WRENN_API_KEY or pass api_key at " .. path .. ":1", said)
    assert.is_truthy(run_with({ WRENN_API_KEY = "" },
      "print(wrenn.Capsule.create())"):find("No API key", 1, true))
  end)

  it("takes key and URL from the environment, arguments first",
    function()
      local p = peer.answering({ 200, "[]" })
      local environment = { WRENN_API_KEY = "wrn_env", WRENN_BASE_URL = p.url }
      run_with(environment, "assert(wrenn.Capsule.list())")
      run_with(environment, "assert(wrenn.Capsule.list{api_key='wrn_arg'})")
      assert.is_truthy(p:received()[1]:find("X%-API%-Key: wrn_env\r\n"))
      assert.is_truthy(p:received()[2]:find("X%-API%-Key: wrn_arg\r\n"))
      p:stop()
    end)

  it("takes empty arguments for none", function()
    local p = peer.answering({ 200, "[]" })
    run_with({ WRENN_API_KEY = "wrn_env", WRENN_BASE_URL = p.url },
      "assert(wrenn.Capsule.list{api_key='',base_url=''})")
    assert.is_truthy(p:received()[1]:find("X%-API%-Key: wrn_env\r\n"))
    p:stop()
    assert.is_truthy(run_with({}, "print(wrenn.Client{api_key=''})")
      :find("No API key", 1, true))
  end)

  it("sends the key with a WebSocket as well", function()
    local p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' },
      { 401, "" })
    local capsule = assert(wrenn.Capsule.connect("cl-1", p:options()))
    assert.is_nil((capsule.commands:stream("x")))
    assert.is_truthy(p:received()[2]:find("X%-API%-Key: wrn_test\r\n"))
    local head = p:received()[2]:lower()
    assert.is_truthy(head:find("upgrade: websocket", 1, true))
    p:stop()
  end)

  for _, path in ipairs({ "", "/", "/api", "/api/" }) do
    it(("joins a base URL that ends in '%s'"):format(path), function()
      local p = peer.answering({ 200, "[]" })
      assert(wrenn.Capsule.list(p:options({ base_url = p.url .. path })))
      assert.are.equal("GET " .. path:gsub("/$", "") .. "/v1/capsules ",
        p:received()[1]:match("^%S+ %S+ "))
      p:stop()
    end)
  end

  for _, url in ipairs({ "app.wrenn.dev", "ftp://x", "http://", "http://a b",
    "http://u:p@host", "http://u@host", "http://x?y" }) do
    it(("refuses the base URL '%s'"):format(url), function()
      local client, err = wrenn.Client({ api_key = "k", base_url = url })
      assert.is_nil(client)
      assert.is_true(err:is("ConfigurationError"))
    end)
  end

  it("refuses a key that could smuggle a header", function()
    local client, err = wrenn.Client({ api_key = "k\r\nX: y" })
    assert.is_nil(client)
    assert.is_true(err:is("ConfigurationError"))
  end)

  local proxied = {
    { "https://app.wrenn.dev/api", 8888, "https://8888-cl-1.wrenn.dev" },
    { "http://localhost:8080", 3000, "http://3000-cl-1.localhost:8080" },
    { "https://api.example.com:9443", 8080,
      "https://8080-cl-1.api.example.com:9443" },
  }
  for _, case in ipairs(proxied) do
    it("knows the URL of a port below " .. case[1] .. "", function()
      local p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' })
      local capsule = assert(wrenn.Capsule.connect("cl-1", p:options()))
      capsule.client = assert(wrenn.Client({ api_key = "k",
        base_url = case[1] }))
      assert.are.equal(case[3], capsule:get_url(case[2]))
      assert.are.equal((case[3]:gsub("^http", "ws")),
        capsule:get_url(case[2], { scheme = "ws" }))
      p:stop()
    end)
  end

  it("takes the proxy domain from argument or environment", function()
    local code = "print(wrenn.Client{api_key='k',base_url='http://h',"
      .. "proxy_domain=%s}.settings.proxy_domain)"
    local environment = { WRENN_PROXY_DOMAIN = "env.example" }
    assert.are.equal("arg.example",
      run_with(environment, code:format("'arg.example'")))
    assert.are.equal("env.example", run_with(environment, code:format("nil")))
    assert.are.equal("h", run_with({}, code:format("nil")))
  end)

  -- What the environment says, and what comes of it all, is in
  -- connections_spec.
  it("hands an explicit proxy on, or the wish for none", function()
    for _, case in ipairs({ { "http://q:2", "http://q:2" }, { "q:2", "q:2" },
      { "SOCKS5h://q", "SOCKS5h://q" }, { false, "" }, { nil, nil } })
    do
      local client = assert(wrenn.Client({ api_key = "k", proxy = case[1] }))
      assert.are.equal(case[2], client.settings.proxy)
    end
  end)

  it("refuses a proxy of another kind", function()
    local client, err = wrenn.Client({ api_key = "k", proxy = "ftp://q:2" })
    assert.is_nil(client)
    assert.is_true(err:is("ConfigurationError"))
  end)

  it("goes through an HTTP proxy, with requests and WebSockets", function()
    local p = peer.answering({ 502, "no" })
    local client = assert(wrenn.Client({ api_key = "k", retries = 0,
      base_url = "http://far.example", proxy = p.url }))
    local _, err = client.capsules:get("cl-1")
    assert.are.equal(502, err.status_code)
    assert.is_truthy(p:received()[1]
      :find("^GET http://far.example/v1/capsules/cl%-1 "))
    p:stop()
  end)

  it("tells of each attempt, without the key", function()
    local p = peer.answering({ 404, "" })
    local seen = {}
    local client = assert(wrenn.Client(p:options({
      on_event = function(event) seen[#seen + 1] = event end,
    })))
    client.capsules:get("cl-1")
    assert.are.equal(1, #seen)
    assert.are.same({ "request", "GET", "/v1/capsules/cl-1", 404, 1 },
      { seen[1].type, seen[1].method, seen[1].path, seen[1].status,
        seen[1].attempt })
    p:stop()
  end)

  it("that is closed refuses calls", function()
    local client = assert(wrenn.Client({ api_key = "k" }))
    client:close()
    local list, err = client.capsules:list()
    assert.is_nil(list)
    assert.is_true(err:is("ConnectionError"))
  end)

  it("that is closed closes its connections, and no other's", function()
    local p = peer.start([[
      while true do
        local req = c:request()
        if not req then return log("end of " .. n) end
        c:sleep(0.1)
        c:respond(200, '{"status":"ok","version":"' .. n .. '"}')
      end
    ]])
    local one = assert(wrenn.Client(p:options()))
    local other = assert(wrenn.Client(p:options()))
    local versions = assert(wrenn.task.map({ one, other }, function(client)
      local health, err = client:health()
      return health and health.version, err
    end))
    one:close()
    local ended, deadline = {}, core.now() + 30
    while #ended == 0 and core.now() < deadline do
      for _, line in ipairs(p:received()) do
        ended[#ended + 1] = line:match("^end of (%d+)$")
      end
    end
    assert.are.same({ versions[1] }, ended)
    assert.are.equal(versions[2], other:health().version)
    p:stop()
  end)

  it("asks for the server's health", function()
    local p = peer.answering({ 200, '{"status":"ok","version":"0.2.0"}' })
    local client = assert(wrenn.Client(p:options()))
    assert.are.equal("0.2.0", client:health().version)
    p:stop()
  end)
end)

describe("the module", function()
  it("does no work when it is loaded", function()
    assert.are.equal("0", run_with({}, [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      local count = 0
      for name in pairs(_G) do
        if not before[name] then count = count + 1 end
      end
      local pipe = io.popen("ls -l /proc/$PPID/fd 2>/dev/null"
        .. " | grep -c eventpoll")
      io.write(count + tonumber(pipe:read("*a")))
    ]]))
  end)

  it("says once that Sandbox is an old name", function()
    assert.are.equal("wrenn: wrenn.Sandbox is deprecated, use wrenn.Capsule\n"
      .. "true", run_with({},
        "local s = wrenn.Sandbox print(s == wrenn.Capsule and"
          .. " wrenn.Sandbox == s)"))
  end)
end)
