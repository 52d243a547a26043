-- Keys and passwords are never printed. Texts from servers are shortened, and
-- contain no control sequences.

local cjson = require("cjson")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

local errors = wrenn.errors
local KEY = "wrn_0123456789abcdef"

-- All texts in a value, however deep.
local function texts(value, seen, list)
  seen, list = seen or {}, list or {}
  if type(value) == "string" then
    list[#list + 1] = value
  elseif type(value) == "table" and not seen[value] then
    seen[value] = true
    if errors.is_error(value) then
      list[#list + 1] = tostring(value)
    end
    for key, item in pairs(value) do
      texts(key, seen, list)
      texts(item, seen, list)
    end
  end
  return list
end

local function assert_hidden(value, ...)
  for _, text in ipairs(texts(value)) do
    for _, secret in ipairs({ ... }) do
      assert.is_nil(text:find(secret, 1, true), text)
    end
  end
end

describe("a secret", function()
  local p

  after_each(function()
    if p then
      p:stop()
      p = nil
    end
  end)

  local function options(more)
    more.api_key, more.base_url = KEY, more.base_url or p.url
    more.retries = more.retries or 0
    return more
  end

  it("that a server repeats is in no error and no event", function()
    local seen = {}
    for _, body in ipairs({
      cjson.encode({ error = { code = KEY, message = "bad key " .. KEY,
        request_id = KEY, details = { a = { "key " .. KEY } } } }),
      "<html><title>Key " .. KEY .. "</title></html>", KEY,
    }) do
      for _, status in ipairs({ 401, 500, 302 }) do
        p = peer.answering({ status, body, "Location: http://h/" .. KEY })
        local client = assert(wrenn.Client(options({
          on_event = function(event) seen[#seen + 1] = event end })))
        local _, err = wrenn.Capsule.get_info("cl-1", { client = client })
        assert_hidden(err, KEY)
        assert_hidden({ tostring(client) }, KEY)
        assert.is_truthy(err.message:find("***", 1, true), err.message)
        p:stop()
      end
    end
    assert.are.equal(9, #seen)
    assert_hidden(seen, KEY)
  end)

  it("in a base URL that will not do is in no error", function()
    for _, base in ipairs({ "https://me:s3cr3t-pw@host/api",
      "https://me:s3cr3t-pw/x@host", "me:s3cr3t-pw@host", "//me:s3cr3t-pw@h",
      "ftp://me:s3cr3t-pw@host", "https://s3cr3t-pw@host",
      "https://me:s3cr3t-pw" }) do
      local client, err = wrenn.Client({ api_key = KEY, base_url = base })
      assert.is_nil(client, base)
      assert.are.equal("ConfigurationError", err.type)
      if base:find("@", 1, true) then
        assert_hidden(err, "s3cr3t-pw")
      end
    end
    local _, err = wrenn.Client({ api_key = KEY, base_url = "http://h",
      proxy_domain = "me:s3cr3t-pw@h" })
    assert_hidden(err, "s3cr3t-pw")
  end)

  it("of a proxy is in no error", function()
    for _, proxy in ipairs({ "http://me:s3cr3t-pw@127.0.0.1:1",
      "me:s3cr3t-pw@" .. peer.NOWHERE .. ":1", "http://me:s3cr3t-pw@[x:1",
      "https://me:s3cr3t-pw@" .. peer.NOWHERE, "http://me:s3cr3t-pw @h",
      "http://me:s3cr3t%2Dpw@127.0.0.1:1" }) do
      local client, err = wrenn.Client({ api_key = KEY, retries = 0,
        base_url = "http://far.example", proxy = proxy })
      if client then
        local _
        _, err = client:health()
        assert_hidden({ tostring(client) }, "s3cr3t")
      end
      assert.is_truthy(errors.is_error(err))
      assert_hidden(err, "s3cr3t-pw", "s3cr3t%2Dpw")
    end
  end)

  it("that a proxy repeats is in no error", function()
    p = peer.answering({ 407, "no s3cr3t-pw, no s3cr3t/pw" })
    for _, password in ipairs({ "s3cr3t-pw", "s3cr3t%2Fpw" }) do
      local client = assert(wrenn.Client({ api_key = KEY, retries = 0,
        base_url = "http://far.example",
        proxy = p.url:gsub("//", "//me:" .. password:gsub("%%", "%%%%") .. "@")
      }))
      local _, err = client:health()
      assert.are.equal(407, err.status_code)
      assert_hidden(err, (password:gsub("%%2F", "/")))
    end
  end)

  it("that is short leaves the rest of the text alone", function()
    p = peer.answering({ 400, '{"error":{"message":"a bad answer: http://u:a@h'
      .. ' and ssh://git@h"}}' })
    local client = assert(wrenn.Client({ api_key = "a", base_url = p.url }))
    local _, err = client:health()
    assert.are.equal("a bad answer: http://***@h and ssh://git@h", err.message)
  end)

  it("of several clients does not outlive the last of them", function()
    local opts = { api_key = "wrn_forgotten", base_url = "http://h" }
    local last = assert(wrenn.Client(opts))
    assert(wrenn.Client(opts))
    collectgarbage()
    collectgarbage()
    assert.are.equal("***", errors.new("WrennError", "wrn_forgotten").message)
    assert.is_truthy(last)
    last = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.are.equal("wrn_forgotten",
      errors.new("WrennError", "wrn_forgotten").message)
  end)

  it("goes nowhere but to the configured origin", function()
    p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' },
      { 307, "", "Location: /elsewhere" })
    local other = peer.answering({ 200, "{}" })
    local capsule = assert(wrenn.Capsule.connect("cl-1",
      { client = assert(wrenn.Client(options({}))) }))
    for _, answer in ipairs({ { capsule:ping() },
      { capsule.files:read("/x") }, { capsule.commands:stream("x") },
      { capsule.client.events:stream() } }) do
      assert.is_nil(answer[1])
      assert.are.equal("ProtocolError", answer[2].type)
    end
    capsule.client.settings.proxy_domain = "localhost:" .. other.port
    assert(capsule:request(80))
    for _, text in ipairs(other:received()) do
      assert_hidden(text, KEY)
    end
    assert.are.equal(1, #other:received())
    other:stop()
  end)
end)

describe("the text of a server", function()
  local p

  after_each(function()
    p:stop()
  end)

  local LONG = ("é"):rep(5000)

  it("is cut, and of one printable line", function()
    p = peer.answering({ 400, cjson.encode({ error = {
      code = "bad\27[31m\n" .. ("c"):rep(1000),
      message = "a\27[2J\0b\r\n\tc \194\155d" .. LONG,
      request_id = ("r"):rep(1000), details = { x = "\7" .. LONG } } }) })
    local _, err = wrenn.Capsule.get_info("cl-1", p:options())
    assert.are.equal("a [2J b c dé", err.message:sub(1, 13))
    assert.is_true(#err.message <= 2051 and #err.message > 2000)
    assert.is_truthy(err.message:find("é%.%.%.$"))
    for _, text in ipairs(texts(err)) do
      assert.is_nil(text:find("%c"), text)
      assert.is_true(#text < 3000)
    end
    assert.is_true(#err.code <= 131 and #err.request_id <= 131)
  end)

  it("that is no text at all is told by its status", function()
    for _, message in ipairs({ "\27\7\r\n", " ", "" }) do
      p = peer.answering({ 400, cjson.encode({ error =
        { message = message } }) })
      local _, err = wrenn.Capsule.get_info("cl-1", p:options())
      assert.are.equal("HTTP 400", err.message)
      p:stop()
    end
  end)

  it("in a stream is cut as well", function()
    p = peer.start(([[
      local req = c:request()
      if not req.headers.upgrade then
        c:respond(200, '{"id":"cl-1","status":"running"}')
        req = c:request()
      end
      c:upgrade(req)
      c:read_frame()
      c:text('{"type":"error","data":"not found\\u001b[31m%s"}')
      c:close()
    ]]):format(LONG))
    local capsule = assert(wrenn.Capsule.connect("cl-1", p:options()))
    local stream = assert(capsule.commands:stream("x"))
    while stream:read() do end
    assert.are.equal("NotFoundError", stream.err.type)
    assert.is_true(#stream.err.message < 2100)
    assert.is_nil(stream.err.message:find("%c"))
  end)
end)

describe("git", function()
  local p, git

  after_each(function()
    p:stop()
  end)

  local function answer(result)
    p = peer.start(([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path:find("/exec$") then
          c:respond(200, %q)
        else
          c:respond(200, '{"id":"cl-1","status":"running",'
            .. '"version":"0.4.0"}')
        end
      end
    ]]):format(result))
    git = assert(wrenn.Capsule.connect("cl-1", p:options())).git
  end

  local function commands()
    local list = {}
    for _, text in ipairs(p:received()) do
      if text:find("^POST %S+/exec ") then
        list[#list + 1] = cjson.decode(text:match("\r\n\r\n(.*)$"))
      end
    end
    return list
  end

  for _, op in ipairs({ "push", "pull", "fetch" }) do
    it(op .. " takes credentials out of a URL before git sees it", function()
      answer('{"exit_code":0}')
      assert(git[op](git, "https://me:s3cr3t-pw@host/r.git", "main"))
      local body = commands()[1]
      assert_hidden({ body.cmd, body.args }, "s3cr3t-pw", "me:")
      assert.is_truthy(table.concat(body.args, " ")
        :find("-- https://host/r.git main", 1, true))
    end)
  end

  it("with a short password tells what went wrong", function()
    answer(cjson.encode({ exit_code = 128, stdout = "", stderr =
      "fatal: unable to access 'https://u:a@h/r/': a bad day" }))
    local _, err = git:clone("https://h/r", { username = "u", password = "a" })
    assert.are.equal("fatal: unable to access 'https://u:***@h/r/': a bad day",
      err.stderr)
    assert.are.equal("fatal: unable to access 'https://***@h/r/': a bad day",
      err.message)
  end)

  it("is handed no helper that may run anything", function()
    answer('{"exit_code":0}')
    for _, url in ipairs({ "fd::17", "ext::sh -c 'id'", "a-b::x" }) do
      for _, call in ipairs({ git.clone, git.push, git.pull, git.fetch }) do
        local ok, why = pcall(call, git, url)
        assert.is_false(ok)
        assert.is_truthy(why:find("helper", 1, true), why)
      end
      assert.is_false((pcall(git.remote_add, git, "x", url)))
    end
    assert.are.same({}, commands())
    assert(git:push("git@[::1]:r"))
    assert(git:push({ branch = ":main" }))
  end)
end)
