-- wrenn mcp: capsules for agents, by the Model Context Protocol.

local cli = require("spec.support.cli")
local core = require("wrenn.core")
local json = require("wrenn.cli.json")
local servers = require("spec.support.server")
local wrenn = require("wrenn")

describe("wrenn mcp", function()
  local server, session

  setup(function()
    server = servers.start("--user root")
  end)

  teardown(function()
    server:stop()
  end)

  -- A session: its input is a FIFO, its output a pipe.
  local function open(words)
    local fifo = os.tmpname()
    local pipe = io.popen(("rm %s; mkfifo %s; echo made; %s timeout 240 sh -c"
      .. " 'echo $$; exec bin/wrenn mcp %s' <%s; echo status $?; rm %s")
      :format(fifo, fifo, cli.environment(server), words or "", fifo, fifo))
    assert.are.equal("made", pipe:read("*l"))
    session = { output = pipe, input = assert(io.open(fifo, "w")), last = 0 }
    session.pid = pipe:read("*l")
  end

  local function send(message)
    message.jsonrpc = "2.0"
    session.input:write(json.text(message), "\n")
    session.input:flush()
  end

  local function receive()
    local line = session.output:read("*l")
    local message, why = core.json(line)
    assert.is_nil(why, line)
    return message
  end

  local function request(method, params)
    session.last = session.last + 1
    send({ id = session.last, method = method, params = params })
    local answer = receive()
    assert.are.equal(session.last, answer.id)
    return answer.result, answer.error
  end

  local function call(name, arguments)
    return request("tools/call", { name = name, arguments = arguments })
  end

  -- Ends the input, and returns the exit status.
  local function close()
    session.input:close()
    local rest = session.output:read("*a")
    session.output:close()
    return rest:match("status (%d+)\n$")
  end

  local function ids()
    local client = assert(wrenn.Client(server:options()))
    local found = {}
    for _, info in ipairs(assert(client.capsules:list())) do
      if info.status ~= "stopped" then
        found[#found + 1] = info.id
      end
    end
    client:close()
    return found
  end

  it("shakes hands, and leaves nothing behind", function()
    open("--ttl 10m")
    local result = request("initialize", { protocolVersion = "2025-11-25",
      capabilities = {}, clientInfo = { name = "spec", version = "1" } })
    assert.are.equal("2025-11-25", result.protocolVersion)
    assert.is_truthy(result.capabilities.tools)
    assert.are.equal(wrenn._VERSION, result.serverInfo.version)
    assert.is_nil(result.resultType)
    send({ method = "notifications/initialized" })
    assert.are.same({}, request("ping"))

    local names = {}
    for i, tool in ipairs(request("tools/list").tools) do
      names[i] = tool.name
      assert.are.equal("object", tool.inputSchema.type)
    end
    assert.are.equal("create list destroy exec read write list_files url",
      table.concat(names, " "))

    local id = call("create", {}).structuredContent.id
    assert.are.same({ id }, ids())
    assert.are.equal(600, assert(wrenn.Client(server:options())).capsules
      :get(id).timeout_sec)
    assert.are.equal(id, call("list").structuredContent.capsules[1].id)

    -- The exit code is a result like any; a prefix of the id does.
    result = call("exec", { capsule = id:sub(1, 12), env = { X = "y" },
      command = "echo $X; echo e >&2; exit 3", cwd = "/tmp" })
    assert.is_nil(result.isError)
    assert.are.same({ exit_code = 3, stdout = "y\n", stderr = "e\n",
      truncated = false }, result.structuredContent)
    assert.is_truthy(result.content[1].text:find("exit code 3", 1, true))

    assert.are.equal(5, call("write", { capsule = id, path = "/tmp/a b",
      content = "caf\195\169" }).structuredContent.size)
    assert.are.equal("caf\195\169", call("read", { capsule = id,
      path = "/tmp/a b" }).content[1].text)
    call("write", { capsule = id, path = "/tmp/bytes", content = "/wA=",
      encoding = "base64" })
    result = call("read", { capsule = id, path = "/tmp/bytes" })
    assert.are.equal("base64", result.structuredContent.encoding)
    assert.are.equal("/wA=", result.structuredContent.content)
    -- In the order of the folder, which differs between file systems.
    local listed = call("list_files", { capsule = id, path = "/tmp" })
    assert.is_truthy((listed.content[1].text .. "\n"):find(" 5 a b\n", 1, true))
    assert.is_truthy(call("url", { capsule = id, port = 8080 })
      .content[1].text:find("8080-" .. id, 1, true))

    call("create", {})
    call("destroy", { capsule = id })
    assert.are.equal(1, #ids())
    assert.are.equal("0", close())
    assert.are.same({}, ids())
  end)

  it("speaks the revision without a handshake", function()
    open()
    local meta = { ["io.modelcontextprotocol/protocolVersion"] = "2026-07-28",
      ["io.modelcontextprotocol/clientCapabilities"] = {} }
    local result = request("server/discover", { _meta = meta })
    assert.are.equal("2026-07-28", result.supportedVersions[1])
    assert.are.equal("complete", result.resultType)
    result = request("tools/list", { _meta = meta })
    assert.are.equal("complete", result.resultType)
    assert.are.equal("private", result.cacheScope)
    assert.is_truthy(result.ttlMs > 0)
    assert.are.equal("wrenn",
      result._meta["io.modelcontextprotocol/serverInfo"].name)
    result = request("tools/call", { _meta = meta, name = "list" })
    assert.are.equal("complete", result.resultType)

    meta["io.modelcontextprotocol/protocolVersion"] = "2031-01-01"
    local _, err = request("tools/list", { _meta = meta })
    assert.are.equal(-32022, err.code)
    assert.are.equal("2031-01-01", err.data.requested)
    assert.are.equal("2026-07-28", err.data.supported[1])
    -- By a handshake it is not to be had.
    assert.are.equal("2025-11-25", request("initialize",
      { protocolVersion = "2026-07-28" }).protocolVersion)
    close()
  end)

  it("cuts long output, and says so", function()
    open()
    local id = call("create", {}).structuredContent.id
    local result = call("exec", { capsule = id,
      command = "echo first; head -c 300000 /dev/zero | tr '\\0' x;"
        .. " echo last" })
    local text = result.structuredContent.stdout
    assert.is_true(result.structuredContent.truncated)
    assert.is_true(#text < 60000)
    assert.is_truthy(text:find("^first\n"))
    assert.is_truthy(text:find("last\n$"))
    local missing = tonumber(text:match("%[%.%.%. (%d+) bytes left out"))
    assert.are.equal(300011, missing + #text:gsub("\n%[.-%]\n", ""))

    call("exec", { capsule = id,
      command = "head -c 300000 /dev/zero | tr '\\0' x >big; echo y >>big" })
    result = call("read", { capsule = id, path = "/root/big" })
    assert.is_true(result.structuredContent.truncated)
    assert.are.equal(262144, #result.structuredContent.content)
    result = call("read", { capsule = id, path = "/root/big",
      offset = 262144 })
    assert.is_false(result.structuredContent.truncated)
    assert.are.equal(300002 - 262144, #result.structuredContent.content)
    close()
  end)

  it("kills the command of a cancelled call, and answers no more", function()
    open()
    local id = call("create", {}).structuredContent.id
    local capsule = assert(wrenn.Capsule.connect(id, server:options()))
    local function await(what)
      assert.are.equal(0, assert(capsule.commands:run("while " .. what
        .. "; do sleep 0.02; done", { timeout = 20 })).exit_code)
    end
    send({ id = "slow", method = "tools/call", params = { name = "exec",
      arguments = { capsule = id, command = "touch on; sleep 7005; :" } } })
    await("! test -e on")
    -- Calls do not wait for each other.
    assert.are.equal(0, call("exec", { capsule = id, command = "true" })
      .structuredContent.exit_code)
    send({ method = "notifications/cancelled",
      params = { requestId = "slow" } })
    await("pgrep -f '[s]leep 7005'")
    assert.are.same({}, request("ping")) -- the next answer is not that of slow

    local begin = core.now()
    local result = call("exec", { capsule = id, command = "sleep 7006",
      timeout = 0.2 })
    assert.is_true(core.now() - begin < 20)
    assert.is_true(result.isError)
    assert.is_nil(result.structuredContent.exit_code)

    -- The end of the input cancels what runs.
    send({ id = "last", method = "tools/call", params = { name = "exec",
      arguments = { capsule = id, command = "sleep 7007" } } })
    assert.are.equal("0", close())
    assert.are.same({}, ids())
  end)

  it("keeps the capsule that it is given", function()
    local capsule =
      assert(wrenn.Capsule.create(server:options({ wait = true })))
    open("--capsule " .. capsule.id:sub(1, 14))
    assert.are.equal("hi\n",
      call("exec", { command = "echo hi" }).structuredContent.stdout)
    assert.are.equal("0", close())
    assert.are.same({ capsule.id }, ids())
    capsule:destroy({ wait = true })
  end)

  it("destroys its capsules when it is told to end", function()
    open()
    call("create", {})
    assert.are.equal(1, #ids())
    os.execute("kill -TERM " .. session.pid)
    assert.are.equal("143", close())
    assert.are.same({}, ids())
  end)

  it("survives what makes no sense", function()
    open()
    session.input:write("no JSON\n\n[]\n{\"id\":1}\n")
    session.input:flush()
    assert.are.equal(-32700, receive().error.code)
    assert.are.equal(-32600, receive().error.code)
    assert.are.equal(-32600, receive().error.code)
    local _, err = request("tools/lst")
    assert.are.equal(-32601, err.code)
    _, err = call("exek", {})
    assert.are.equal(-32602, err.code)
    for _, case in ipairs({
      { "exec", { command = "true" }, "capsule is missing" },
      { "exec", { capsule = "cl-nothing" }, "command is missing" },
      { "exec", { capsule = "cl-x", comand = "true", command = "true" },
        "did you mean 'command'?" },
      { "url", { capsule = "cl-x", port = "http" }, "port: integer expected" },
      { "destroy", { capsule = "cl-nothing" }, "there is no capsule" },
      { "create", { template = "nothing" }, "not found" },
    }) do
      local result = call(case[1], case[2])
      assert.is_true(result.isError, case[1])
      assert.is_truthy(result.content[1].text:find(case[3], 1, true),
        result.content[1].text)
    end
    assert.are.equal("0", close())
    local result = cli.run(nil, "mcp")
    assert.are.equal(125, result.status)
    assert.are.equal("", result.out)
  end)
end)
