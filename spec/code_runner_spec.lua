-- Running code. Jupyter is a scripted peer.

local cjson = require("cjson")
local core = require("wrenn.core")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local jupyter = require("spec.support.jupyter")
local peer = require("spec.support.peer")
local runner = require("wrenn.code_runner")
local wrenn = require("wrenn")

describe("running code", function()
  local p

  after_each(function()
    if p then
      p:stop()
      p = nil
    end
  end)

  local function capsule_of(script, more)
    p = jupyter(script)
    return assert(runner.Capsule.create(p:options(more)))
  end

  -- What was asked of Jupyter, and the frames that came there.
  local function asked()
    local requests, frames = {}, {}
    for _, text in ipairs(p:received()) do
      if not text:find("HTTP/1.1\r\n", 1, true) then
        if text:find("execute_request", 1, true) then
          frames[#frames + 1] = cjson.decode(text)
        end
      elseif not text:find("^%u+ /v1/") then
        requests[#requests + 1] = text
      end
    end
    return requests, frames
  end

  local function await_frame()
    expect.soon(function()
      return #select(2, asked()) > 0
    end)
  end

  local function lines()
    local list = {}
    for i, text in ipairs((asked())) do
      list[i] = text:match("^%u+ %S+")
    end
    return list
  end

  it("takes place in a capsule of the right template", function()
    capsule_of({})
    assert(runner.Capsule(p:options({ template = "mine" })))
    local list = p:received()
    assert.are.equal("code-runner-beta",
      cjson.decode(list[1]:match("\r\n\r\n(.*)$")).template)
    assert.are.equal("mine",
      cjson.decode(list[2]:match("\r\n\r\n(.*)$")).template)
  end)

  it("uses the kernel of the right name", function()
    local code = capsule_of({ kernels =
      '[{"id":"k-0","name":"python3"},{"id":"k-1","name":"wrenn"}]' })
    assert.are.equal("wrenn", code.kernel)
    assert(code:run_code("1"))
    assert.are.same({ "GET /api/kernels", "GET /api/kernels/k-1/channels" },
      lines())
  end)

  for list, case in pairs({ ["[]"] = 290,
    ['[{"id":"k-0","name":"python3"}]'] = 292 }) do
    it(("starts a kernel when there is none (%d)"):format(case), function()
      local code = capsule_of({ kernels = list })
      assert(code:run_code("1"))
      assert.are.same({ "GET /api/kernels", "POST /api/kernels",
        "GET /api/kernels/k-new/channels" }, lines())
      assert.are.equal('{"name":"wrenn"}',
        asked()[2]:match("\r\n\r\n(.*)$"))
    end)
  end

  it("starts the kernel that was asked for", function()
    local code = capsule_of({}, { kernel = "python3" })
    assert(code:run_code("1"))
    assert.are.equal('{"name":"python3"}', asked()[2]:match("\r\n\r\n(.*)$"))
    p:stop()
    p = jupyter({ kernels = "[]" })
    code = assert(runner.Capsule.connect("cl-1",
      p:options({ kernel = "python3" })))
    assert(code:run_code("1"))
    assert.are.equal('{"name":"python3"}', asked()[2]:match("\r\n\r\n(.*)$"))
  end)

  it("waits for Jupyter to come up", function()
    local code = capsule_of({ http = [[
      tries = (tries or 0) + 1
      if tries == 1 then return c:respond(503, "") end
      if tries == 2 then return c:reset() end
    ]] })
    assert(code:run_code("1"))
    assert.are.equal(4, #asked())
  end)

  it("waits for the capsule to come up", function()
    p = peer.start([[
      while true do
        local req = c:request()
        if not req then return end
        asked = (asked or 0) + 1
        if req.path == "/api/kernels" then
          c:respond(asked < 4 and 409 or 401, "sandbox is not running")
        else
          c:respond(200, '{"id":"cl-1","status":"starting"}')
        end
      end
    ]])
    local code = assert(runner.Capsule.create(p:options()))
    local _, err = code:run_code("1")
    assert.are.equal("AuthenticationError", err.type)
    assert.are.same({ "GET /api/kernels", "GET /api/kernels" }, lines())
  end)

  it("waits for a capsule that comes up behind a refusal", function()
    p = peer.start([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path == "/api/kernels" then
          asked = (asked or 0) + 1
          c:respond(asked == 1 and 409 or 401,
            "sandbox is not running (status: starting)")
        else
          c:respond(200, '{"id":"cl-1","status":"'
            .. (asked and "running" or "starting") .. '"}')
        end
      end
    ]])
    local code = assert(runner.Capsule.create(p:options()))
    local _, err = code:run_code("1")
    assert.are.equal("AuthenticationError", err.type)
  end)

  for status, name in pairs({ [401] = "AuthenticationError",
    [403] = "ForbiddenError", [404] = "NotFoundError",
    [409] = "ConflictError" }) do
    it(("fails at once with a %d"):format(status), function()
      local code = capsule_of({ http = ("c:respond(%d, '{\"message\":\"no\"}')"
        .. " do return end"):format(status) })
      local execution, err = code:run_code("1")
      assert.is_nil(execution)
      assert.are.equal(name, err.type)
      assert.are.equal("no", err.message)
      assert.are.equal(1, #asked())
    end)
  end

  for answer, name in pairs({
    ['c:respond(200, "garbage")'] = "ProtocolError",
    ['c:respond(302, "", {"Location: /x"})'] = "ProtocolError",
    ['c:send("garbage\\r\\n\\r\\n") c:close()'] = "ProtocolError",
    ["c:sleep(60)"] = "TimeoutError", ["c:reset()"] = "TimeoutError",
    ['if req.method == "GET" then c:respond(200, kernels) else'
      .. ' c:respond(201, "{}") end'] = "ProtocolError",
  }) do
    it("takes no nonsense from Jupyter: " .. answer, function()
      local code = capsule_of({ kernels = "[]",
        http = answer .. " do return end" })
      local begin = core.now()
      local execution, err = code:run_code("1",
        { jupyter_timeout = name == "TimeoutError" and 0.7 or 40 })
      assert.is_nil(execution)
      assert.are.equal(name, err.type)
      assert.is_true(core.now() - begin < 20)
    end)
  end

  it("fails when Jupyter does not come up", function()
    local code = capsule_of({ http = 'c:respond(503, "down") do return end' })
    local begin = core.now()
    local execution, err = code:run_code("1", { jupyter_timeout = 3 })
    assert.is_nil(execution)
    assert.are.equal("TimeoutError", err.type)
    assert.are.equal("Jupyter not available within 3s: down", err.message)
    assert.is_true(core.now() - begin < 20)
  end)

  it("says what was to run it when no Jupyter comes up", function()
    local code = capsule_of({ http = 'c:respond(503, "down") do return end' })
    code.info.template = "minimal"
    local _, err = code:run_code("1", { jupyter_timeout = 2 })
    assert.are.equal("Jupyter not available within 2s: down (the capsule's"
      .. " template is 'minimal'; 'code-runner-beta' has Jupyter)", err.message)
    code.info.template = "code-runner-beta"
    err = select(2, code:run_code("1", { jupyter_timeout = 2 }))
    assert.are.equal("Jupyter not available within 2s: down", err.message)
  end)

  it("never sends the API key to Jupyter", function()
    local code = capsule_of({ kernels = "[]" })
    assert(code:run_code("1"))
    for _, text in ipairs((asked())) do
      assert.is_nil(text:lower():find("x-api-key", 1, true))
      assert.is_nil(text:find("wrn_test", 1, true))
    end
  end)

  it("sends the documented request, with new ids", function()
    local code = capsule_of({})
    local source = 'print("x")\n\t\\ "é" \0'
    assert(code:run_code(source))
    assert(code:run_code(source))
    local _, frames = asked()
    local first, second = frames[1], frames[2]
    assert.are.equal(36, #first.header.msg_id)
    assert.are.equal(36, #first.header.session)
    assert.are_not.equal(first.header.msg_id, second.header.msg_id)
    assert.are_not.equal(first.header.session, second.header.session)
    assert.is_truthy(first.header.date:find(
      "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.000Z$"))
    first.header.msg_id, first.header.session, first.header.date =
      nil, nil, nil
    assert.are.same({ msg_type = "execute_request", username = "wrenn-sdk",
      version = "5.3" }, first.header)
    assert.are.same({ code = source, silent = false, store_history = true,
      user_expressions = {}, allow_stdin = false, stop_on_error = true },
      first.content)
    assert.are.same({ "shell", {}, {}, {} }, { first.channel,
      first.parent_header, first.metadata, first.buffers })
  end)

  it("gathers what is printed, in its pieces", function()
    local code = capsule_of({ exec = [[
      say(id, "status", { execution_state = "busy" })
      say(id, "stream", { name = "stdout", text = "hello\n" })
      say(id, "stream", { name = "stderr", text = "warn\n" })
      say(id, "stream", { name = "stdout", text = "again\n" })
      say(id, "execute_reply", { status = "ok" })
      idle(id)
    ]] })
    local order = {}
    local function note(text) order[#order + 1] = text end
    local execution = assert(code:run_code("x", { on_stdout = note,
      on_stderr = note, on_error = note, on_result = note }))
    assert.are.same({ stdout = { "hello\n", "again\n" },
      stderr = { "warn\n" } }, execution.logs)
    assert.are.same({ "hello\n", "warn\n", "again\n" }, order)
    assert.are.same({ nil, nil, false, {} }, { execution.error,
      execution.execution_count, execution.timed_out, execution.results })
  end)

  it("gives the value and what is displayed", function()
    local code = capsule_of({ exec = [[
      say(id, "display_data", { data = { ["text/plain"] = "<d>",
        ["text/html"] = "<b>" } })
      if code == "value" then
        say(id, "execute_result", { execution_count = 7, data = {
          ["text/plain"] = "'final'", ["x/y"] = { 1 } } })
      end
      idle(id)
    ]] })
    local seen = {}
    local execution = assert(code:run_code("value", { on_result =
      function(result) seen[#seen + 1] = result end }))
    assert.are.equal("'final'", execution.text)
    assert.are.equal(7, execution.execution_count)
    assert.are.same(execution.results, seen)
    assert.are.same({ false, true }, { seen[1].is_main_result,
      seen[2].is_main_result })
    assert.are.same({ "text", "html" }, seen[1]:formats())
    assert.are.same({ "text", "x/y" }, seen[2]:formats())
    assert.are.same({ ["x/y"] = { 1 } }, seen[2].extra)
    execution = assert(code:run_code("display"))
    assert.is_nil(execution.text)
    assert.is_nil(execution.execution_count)
  end)

  it("reports an error once, and reads on", function()
    local code = capsule_of({ exec = [[
      say(id, "error", { ename = "ValueError", evalue = "boom",
        traceback = { "line1", "line2" } })
      say(id, "stream", { name = "stdout", text = "after" })
      idle(id)
    ]] })
    local seen = {}
    local execution = assert(code:run_code("x",
      { on_error = function(err) seen[#seen + 1] = err end }))
    assert.are.same({ name = "ValueError", value = "boom",
      traceback = "line1\nline2" }, execution.error)
    assert.are.same({ execution.error }, seen)
    assert.are.same({ "after" }, execution.logs.stdout)
    assert.is_false(execution.timed_out)
  end)

  for first, order in pairs({ reply = "reply() rest()",
    idle = "rest() reply()" }) do
    it("asks again when the kernel skips it, " .. first .. " first",
      function()
        local code = capsule_of({ exec = ([[
          local function reply()
            say(id, "execute_reply", { status = "aborted" })
          end
          local function rest()
            say(id, "status", { execution_state = "idle" })
          end
          say(id, "status", { execution_state = "busy" })
          if runs <= 2 then
            %s
          else
            say(id, "execute_result", { data = { ["text/plain"] = "3" } })
            idle(id)
          end
        ]]):format(order) })
        assert.are.equal("3", assert(code:run_code("1 + 2")).text)
        local _, frames = asked()
        assert.are.equal(3, #frames)
        assert.are_not.equal(frames[1].header.msg_id, frames[2].header.msg_id)
      end)
  end

  it("does not take the end of a skipped request for the next one's",
    function()
      local code = capsule_of({ exec = [[
        if runs == 1 then
          say(id, "status", { execution_state = "idle" })
          say(id, "execute_reply", { status = "aborted" })
        else
          c:sleep(1.5)
          say(id, "execute_result", { data = { ["text/plain"] = "3" } })
          idle(id)
        end
      ]] })
      assert.are.equal("3", assert(code:run_code("1 + 2")).text)
    end)

  it("ignores what belongs to others, and what is none", function()
    local code = capsule_of({ exec = [[
      say("other", "stream", { name = "stdout", text = "no" })
      say(nil, "stream", { name = "stdout", text = "no" })
      idle("other")
      c:text("garbage")
      c:text("[]")
      c:text("")
      c:binary("\0\0\0")
      c:text('{"msg_type":"stream","parent_header":{"msg_id":"' .. id
        .. '"},"content":null}')
      say(id, "update_display_data", { data = {} })
      say(id, "input_request", {})
      say(id, "stream", { name = "stdout", text = "yes" })
      idle(id)
    ]] })
    local execution = assert(code:run_code("x"))
    assert.are.same({ "yes" }, execution.logs.stdout)
  end)

  it("does not need a reply to see the end", function()
    local code = capsule_of({
      exec = 'say(id, "status", { execution_state = "idle" })' })
    local execution = assert(code:run_code("x"))
    assert.are.same({ nil, false }, { execution.error, execution.timed_out })
  end)

  it("leaves what comes after the end", function()
    local code = capsule_of({ exec = [[
      idle(id)
      say(id, "stream", { name = "stdout", text = "late" })
      say(id, "error", { ename = "Late" })
    ]] })
    for _ = 1, 3 do
      local execution = assert(code:run_code("x"))
      assert.are.same({}, execution.logs.stdout)
      assert.is_nil(execution.error)
    end
    assert.are.equal(2, #asked()) -- one socket for all
  end)

  it("interrupts what takes too long", function()
    local code = capsule_of({ exec = [[
      say(id, "stream", { name = "stdout", text = "partial" })
      if code == "quick" then idle(id) end
      hanging = not hanging and id or hanging
      waiting = c
    ]], http = [[
      if req.path:find("/interrupt$") then
        c:respond(204, "")
        waiting:text(cjson.encode({ msg_type = "error", parent_header =
          { msg_id = hanging }, content = { ename = "KeyboardInterrupt" } }))
        waiting:text(cjson.encode({ msg_type = "status", parent_header =
          { msg_id = hanging }, content = { execution_state = "idle" } }))
        return
      end
    ]] })
    local seen = {}
    local begin = core.now()
    local execution = assert(code:run_code("x", { timeout = 4,
      on_error = function(err) seen[#seen + 1] = err end }))
    assert.is_true(core.now() - begin >= 3.99)
    assert.are.same({ "partial" }, execution.logs.stdout)
    assert.are.same({ name = "Timeout", value = "run_code exceeded 4s",
      traceback = "" }, execution.error)
    assert.are.same({ execution.error }, seen)
    assert.is_true(execution.timed_out)
    execution = assert(code:run_code("quick"))
    assert.is_false(execution.timed_out)
    assert.are.same({ "GET /api/kernels", "GET /api/kernels/k-1/channels",
      "POST /api/kernels/k-1/interrupt" }, lines())
  end)

  it("does not wait for ever for an interrupt to work", function()
    local code = capsule_of({ exec = "if code == 'quick' then idle(id) end" })
    local begin = core.now()
    local execution = assert(code:run_code("x", { timeout = 0.1 }))
    assert.are.equal("Timeout", execution.error.name)
    assert.is_true(core.now() - begin < 20)
    assert.is_false(assert(code:run_code("quick")).timed_out)
    -- with a socket of its own: the first one's output is nobody's
    assert.are.equal(2, select(2, table.concat(lines(), "\n"):gsub("channels",
      "")))
  end)

  it("keeps an error that came before the time was over", function()
    local code = capsule_of({ exec = [[
      say(id, "error", { ename = "ValueError", evalue = "boom" })
    ]], http = 'if req.path:find("interrupt") then c:respond(500) return end' })
    local execution = assert(code:run_code("x", { timeout = 4 }))
    assert.are.equal("ValueError", execution.error.name)
    assert.is_true(execution.timed_out)
  end)

  for how, script in pairs({ ["a close frame"] = "c:close_frame(1000)",
    ["no frame"] = "c:close()", ["a reset"] = "c:sleep(0.05) c:reset()",
    ["the kernel's death"] =
      'say(nil, "status", { execution_state = "restarting" })' }) do
    it("is told of a socket's end by " .. how .. "", function()
      local code = capsule_of({ exec = ([[
        say(id, "stream", { name = "stdout", text = "partial" })
        if runs > 1 then
          idle(id)
        else
          %s
          if code == "x" then c:sleep(0.3) return end
        end
      ]]):format(script) })
      local count = 0
      local execution = assert(code:run_code("x",
        { on_error = function() count = count + 1 end }))
      assert.are.equal("Disconnected", execution.error.name)
      assert.is_true(execution.timed_out)
      assert.are.same({ "partial" }, execution.logs.stdout)
      assert.are.equal(1, count)
      execution = assert(code:run_code("y"))
      assert.is_nil(execution.error)
      -- The kernel was asked for before it was used again.
      assert.are.equal("GET /api/kernels/k-1", lines()[3])
    end)
  end

  it("is told what became of its capsule", function()
    for status, type_name in pairs({ paused = "CapsuleStateError",
      running = "ConnectionError" })
    do
      local code = capsule_of({ exec = ([[
        state = '{"id":"cl-1","status":"%s"}'
        return c:close()
      ]]):format(status) })
      local execution = assert(code:run_code("x"))
      assert.are.equal("Disconnected", execution.error.name)
      assert.are.same({ type_name, status },
        { execution.err.type, execution.err.status })
      assert.are.equal(execution.err.message, execution.error.value)
      p:stop()
    end
  end)

  it("notices when the kernel of what runs is removed", function()
    local code = capsule_of({ exec = "if runs > 1 then idle(id) end", http = [[
      if req.path == "/api/kernels/k-1" then
        return c:respond(404, '{"message":"Kernel does not exist"}')
      end
    ]] })
    local begin = core.now()
    local execution = assert(code:run_code("x"))
    assert.is_true(core.now() - begin < 25) -- of 30
    assert.are.same({ "Disconnected", "the kernel is gone" },
      { execution.error.name, execution.error.value })
  end)

  it("notices when the code does not reach the kernel", function()
    local code = capsule_of({ exec = "if runs > 1 then idle(id) end", http =
      'if req.path == "/api/kernels/k-1" then return c:respond(200,'
        .. ' \'{"id":"k-1","execution_state":"idle"}\') end' })
    local begin = core.now()
    local execution = assert(code:run_code("x", { timeout = 60 }))
    assert.is_true(core.now() - begin < 30)
    assert.are.same({ "Disconnected", "the kernel has not heard of the code" },
      { execution.error.name, execution.error.value })
    assert.is_nil(assert(code:run_code("y")).error)
  end)

  it("replaces a kernel that is gone", function()
    local code = capsule_of({ exec = "idle(id) if runs == 1 then c:reset()"
      .. " log('reset') return end", http = [[
      if req.path == "/api/kernels/k-1" then
        kernels = "[]"
        return c:respond(404, '{"message":"Kernel does not exist"}')
      end
    ]] })
    assert(code:run_code("x"))
    p:await("reset")
    assert(wrenn.task.sleep(0.05)) -- for the loop to see it
    assert.is_nil(assert(code:run_code("y")).error)
    assert.are.same({ "GET /api/kernels", "GET /api/kernels/k-1/channels",
      "GET /api/kernels/k-1", "GET /api/kernels", "POST /api/kernels",
      "GET /api/kernels/k-new/channels" }, lines())
  end)

  it("replaces a kernel whose socket is refused", function()
    local code = capsule_of({ http = [[
      if req.path == "/api/kernels/k-1/channels" then
        kernels = "[]"
        return c:respond(404, "no")
      end
    ]] })
    assert.is_nil(assert(code:run_code("x")).error)
    assert.are.equal("GET /api/kernels/k-new/channels", lines()[5])
  end)

  it("knows one language", function()
    local code = capsule_of({})
    local ok, why = pcall(code.run_code, code, "1",
      { language = "javascript" })
    assert.is_false(ok)
    assert.is_truthy(why:find(
      "language='javascript' is not supported; only 'python'", 1, true))
    assert.are.same({}, lines())
    assert(code:run_code("1", { language = "python" }))
  end)

  it("raises for misuse", function()
    local code = capsule_of({})
    for name, call in pairs({
      ["'code'"] = function() code:run_code(5) end,
      ["'nonsense'"] = function() code:run_code("x", { nonsense = 1 }) end,
      ["'timeout'"] = function() code:run_code("x", { timeout = "1" }) end,
      ["'on_stdout'"] = function() code:run_code("x", { on_stdout = 1 }) end,
      ["'context'"] = function() code:run_code("x", { context = {} }) end,
      ["'kernel'"] = function() runner.Capsule.create({ kernel = 5 }) end,
      ["'kernels'"] = function() runner.Capsule.create({ kernels = "x" }) end,
      ["'id'"] = function() runner.Capsule.connect(nil) end,
      ["'cwd'"] = function() code:create_context({ cwd = 5 }) end,
      ["'self'"] = function() runner.Capsule.run_code({}, "x") end,
    }) do
      local ok, why = pcall(call)
      assert.is_false(ok, name)
      assert.is_truthy(tostring(why):find(name, 1, true), tostring(why))
      assert.is_truthy(tostring(why):find("code_runner_spec.lua:", 1, true),
        tostring(why))
    end
  end)

  it("passes on what a callback raises, and can be used again", function()
    local code = capsule_of({ exec = [[
      say(id, "stream", { name = "stdout", text = "x" })
      idle(id)
    ]] })
    local ok, why = pcall(code.run_code, code, "x",
      { on_stdout = function() error({ "mine" }) end })
    assert.is_false(ok)
    assert.are.same({ "mine" }, why)
    assert.are.same({ "x" }, assert(code:run_code("x")).logs.stdout)
    ok, why = pcall(code.run_code, code, "x",
      { on_stdout = function() code:run_code("y") end })
    assert.is_false(ok)
    assert.is_truthy(tostring(why):find("callback", 1, true))
  end)

  it("queues on one kernel, and runs at once on two", function()
    local code = capsule_of({ exec = [[
      local begun = id
      busy = (busy or 0) + 1
      both = both or busy == 2
      say(id, "stream", { name = "stdout", text = code .. busy })
      repeat c:sleep(0.2) until both or code ~= "both"
      busy = busy - 1
      idle(begun)
    ]] })
    local context = assert(code:create_context())
    assert.are.same({ "GET /api/kernels", "POST /api/kernels" }, lines())
    assert.are.same({ id = "k-new", kernel = "wrenn" }, context)
    local outputs = {}
    wrenn.task.run(function()
      assert(wrenn.task.gather({
        function()
          outputs.a = assert(code:run_code("a")).logs.stdout[1]
        end,
        function()
          outputs.b = assert(code:run_code("b")).logs.stdout[1]
        end,
      }))
    end)
    assert.are.same({ a = "a1", b = "b1" }, outputs)
    wrenn.task.run(function()
      assert(wrenn.task.gather({
        function()
          outputs.a = assert(code:run_code("both")).logs.stdout[1]
        end,
        function()
          outputs.c = assert(code:run_code("both",
            { context = context })).logs.stdout[1]
        end,
      }))
    end)
    local both = { outputs.a, outputs.c }
    table.sort(both)
    assert.are.same({ "both1", "both2" }, both)
  end)

  it("is interrupted with the task that waits for it", function()
    local go = os.tmpname()
    os.remove(go)
    local code = capsule_of({ exec = "if code == 'quick' then idle(id) end",
      http = ([[
        if req.path:find("interrupt") then
          repeat c:sleep(0.01) until io.open(%q)
        end
      ]]):format(go) })
    wrenn.task.run(function()
      local running = wrenn.task.spawn(code.run_code, code, "x")
      await_frame()
      running:cancel()
      assert.are.equal("CancelledError", select(2, running:wait()).type)
      -- The kernel is interrupted in the background; then it is another's turn.
      disk.write(go, "")
      assert.is_nil(assert(code:run_code("quick")).error)
    end)
    os.remove(go)
    assert.are.equal("POST /api/kernels/k-1/interrupt", lines()[3])
  end)

  it("gives up its place in the queue when it is cancelled", function()
    local go = os.tmpname()
    os.remove(go)
    local code = capsule_of({ exec =
      ("repeat c:sleep(0.01) until io.open(%q) idle(id)"):format(go) })
    wrenn.task.run(function()
      local first = wrenn.task.spawn(function()
        return code:run_code("1")
      end)
      local second = wrenn.task.spawn(function()
        return code:run_code("2")
      end)
      local third = wrenn.task.spawn(function()
        return code:run_code("3")
      end)
      await_frame()
      second:cancel()
      disk.write(go, "")
      assert(first:wait())
      assert.are.equal("CancelledError", select(2, second:wait()).type)
      assert(third:wait())
    end)
    os.remove(go)
    local _, frames = asked()
    assert.are.equal(2, #frames)
  end)

  describe("in contexts", function()
    local kernels = '[{"id":"k-1","name":"wrenn","execution_state":"idle"},'
      .. '{"id":"k-2","name":"ir","execution_state":"busy"}]'

    it("lists them", function()
      local code = capsule_of({ kernels = kernels })
      assert(code:run_code("x"))
      assert.are.same({
        { id = "k-1", kernel = "wrenn", state = "idle", is_default = true },
        { id = "k-2", kernel = "ir", state = "busy", is_default = false },
      }, code:list_contexts())
    end)

    it("restarts, interrupts and removes them", function()
      local code = capsule_of({ kernels = kernels })
      assert.is_true(code:restart_context()) -- there is none yet
      assert.is_true(code:restart_context("k-2"))
      assert.is_true(code:interrupt_context({ id = "k-2" }))
      assert.is_true(code:remove_context("k-2"))
      assert(code:run_code("x"))
      assert.is_true(code:remove_context())
      assert.are.same({ "POST /api/kernels/k-2/restart",
        "POST /api/kernels/k-2/interrupt", "DELETE /api/kernels/k-2",
        "GET /api/kernels", "GET /api/kernels/k-1/channels",
        "DELETE /api/kernels/k-1" }, lines())
    end)

    it("is told when its kernel is gone", function()
      local code = capsule_of({ http = 'if req.path:find("k%-9") then'
        .. " return c:respond(404, '{}') end" })
      local execution, err = code:run_code("x", { context = "k-9" })
      assert.is_nil(execution)
      assert.are.equal("NotFoundError", err.type)
      assert.are.equal("NotFoundError",
        select(2, code:interrupt_context("k-9")).type)
    end)

    it("ends what runs in one that is restarted", function()
      local code = capsule_of({ exec = "" })
      wrenn.task.run(function()
        local running = wrenn.task.spawn(function()
          return code:run_code("x")
        end)
        await_frame()
        assert(code:restart_context())
        local execution = assert(running:wait())
        assert.are.equal("Disconnected", execution.error.name)
      end)
    end)

    it("changes to a directory, whatever its name", function()
      local code = capsule_of({ exec = [[
        if code:find("nowhere") then
          say(id, "error", { ename = "FileNotFoundError", evalue = "none" })
        end
        idle(id)
      ]] })
      assert(code:create_context({ cwd = "/a b'\\/é" }))
      local _, frames = asked()
      assert.are.equal("__import__('os').chdir(b'/a\\x20b\\x27\\x5c/"
        .. "\\xc3\\xa9')", frames[1].content.code)
      assert.is_true(frames[1].content.silent)
      assert.is_false(frames[1].content.store_history)
      local context, err = code:create_context({ cwd = "/nowhere" })
      assert.is_nil(context)
      assert.are.equal("ValidationError", err.type)
      local list = lines()
      assert.are.equal("DELETE /api/kernels/k-new2", list[#list])
    end)
  end)

  it("ends with the capsule, and closing again is nothing", function()
    local code = capsule_of({})
    code:close()
    assert(code:run_code("x"))
    code:close()
    code:close()
    assert(code:run_code("x")) -- with a new socket
    assert.are.equal(2, select(2,
      table.concat(lines(), "\n"):gsub("channels", "")))
    assert.is_true(code:destroy())
    code:close()
    assert.is_true(runner.Capsule.destroy("cl-1", p:options()))
  end)

  it("is what wrenn.with and tostring expect", function()
    local code = capsule_of({})
    assert.are.equal("wrenn.code_runner.Capsule (cl-1)", tostring(code))
    wrenn.with(code, function(c)
      assert(c:run_code("x"))
    end)
    local list = p:received()
    assert.is_truthy(list[#list]:find("^DELETE /v1/capsules/cl%-1 "))
  end)
end)

describe("the module", function()
  it("is there under its names, the old ones said to be old", function()
    local said, real = {}, io.stderr
    local names = { "wrenn", "wrenn.code_runner", "wrenn.code_interpreter" }
    local loaded = {}
    for _, name in ipairs(names) do
      loaded[name], package.loaded[name] = package.loaded[name], nil
    end
    rawset(io, "stderr", { write = function(_, ...)
      said[#said + 1] = table.concat({ ... })
    end })
    local ok, why = pcall(function()
      local again = require("wrenn")
      assert.is_nil(package.loaded["wrenn.code_runner"])
      assert.are.equal(again.code_runner, require("wrenn.code_runner"))
      assert.are.equal(again.code_runner, again.code_interpreter)
      assert.are.equal(again.code_runner, require("wrenn.code_interpreter"))
      for _ = 1, 2 do
        assert.are.equal(again.code_runner.Capsule, again.code_runner.Sandbox)
      end
    end)
    rawset(io, "stderr", real)
    for _, name in ipairs(names) do
      package.loaded[name] = loaded[name]
    end
    assert(ok, why)
    assert.are.same({ "wrenn: wrenn.code_interpreter is deprecated, use"
      .. " wrenn.code_runner\n", "wrenn: wrenn.code_runner.Sandbox is"
      .. " deprecated, use wrenn.code_runner.Capsule\n" }, said)
    assert.are.same({ "code-runner-beta", "wrenn" },
      { runner.DEFAULT_TEMPLATE, runner.DEFAULT_KERNEL })
  end)
end)
