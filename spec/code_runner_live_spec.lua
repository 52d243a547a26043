-- Any Lua: running code in a real Jupyter kernel, in a capsule of wrenn-local
-- and through its port proxy. What Lua makes of a kernel's messages is in
-- code_runner_spec.lua and code_results_spec.lua.

local core = require("wrenn.core")
local runner = require("wrenn.code_runner")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local walled = walls.only(describe, pending)

describe("a kernel in a local capsule", function()
  local s, code

  setup(function()
    s = server.start()
    code = assert(runner.Capsule.create(s:options({ wait = true })))
  end)

  teardown(function()
    s:stop()
  end)

  -- Runs code that must not fail.
  local function run(source, opts)
    opts = opts or {}
    opts.jupyter_timeout = 120 -- it takes long to start
    local execution = assert(code:run_code(source, opts))
    assert.are.same({ nil, false }, { execution.error, execution.timed_out })
    return execution
  end

  local function error_of(source, opts)
    local execution = assert(code:run_code(source, opts))
    return assert(execution.error)
  end

  -- The name of the error in a kernel that has just been started anew. Jupyter
  -- notices a moment later; until then the old one may be asked, and Jupyter may
  -- go on calling the new one "starting", which tells nothing.
  local function error_in_new(source, opts)
    opts.timeout = 10
    local name
    for _ = 1, 5 do
      name = error_of(source, opts).name
      if name ~= "Disconnected" and name ~= "Timeout" then
        break
      end
    end
    return name
  end

  it("calculates", function()
    local execution = run("1 + 1")
    assert.are.equal("2", execution.text)
    assert.is_true(execution.execution_count >= 1)
    assert.are.equal(1, #execution.results)
  end)

  it("keeps its state", function()
    assert.is_nil(run("x = 5").text)
    assert.are.equal("5", run("x").text)
    run("import math\ndef double(n):\n    return n * 2")
    assert.are.equal("8", run("double(math.floor(4.5))").text)
  end)

  it("prints", function()
    local seen = {}
    local execution = run("import sys\nprint('out')\nsys.stderr.write('err')"
      .. "\nNone", { on_stdout = function(text) seen[#seen + 1] = text end })
    assert.are.equal("out\n", table.concat(execution.logs.stdout))
    assert.are.equal("err", table.concat(execution.logs.stderr))
    assert.are.same(execution.logs.stdout, seen)
  end)

  it("prints more than a screen takes", function()
    local execution = run("for i in range(20000): print('x' * 200)")
    assert.are.equal(20000 * 201, #table.concat(execution.logs.stdout))
    assert.are.same({}, execution.logs.stderr)
  end)

  it("fails as Python does", function()
    assert.are.equal("SyntaxError", error_of("def )(").name)
    local err = error_of("raise ValueError('boom')")
    assert.are.same({ "ValueError", "boom" }, { err.name, err.value })
    assert.is_truthy(err.traceback:find("ValueError", 1, true))
    assert.are.equal("NameError", error_of("never_set").name)
  end)

  it("displays, beside its value", function()
    local execution = run("from IPython.display import HTML, display\n"
      .. "display(HTML('<i>shown</i>'))\n'final'")
    assert.are.equal("'final'", execution.text)
    assert.are.equal(2, #execution.results)
    assert.are.equal("<i>shown</i>", execution.results[1].html)
    assert.are.same({ false, true }, { execution.results[1].is_main_result,
      execution.results[2].is_main_result })
    execution = run("from IPython.display import Markdown, JSON, Latex, SVG,"
      .. " Javascript\ndisplay(Markdown('*m*'), JSON({'a': [1]}),"
      .. " Latex('$x$'), SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'),"
      .. " Javascript('1'))")
    local list = execution.results
    assert.are.same({ "*m*", { a = { 1 } }, "$x$", "1" }, { list[1].markdown,
      list[2].json, list[3].latex, list[5].javascript })
    assert.is_truthy(list[4].svg:find("<svg", 1, true))
  end)

  it("shares its files", function()
    run("open('from-kernel', 'w').write('content')")
    assert.are.equal("content", code.files:read("from-kernel"))
    assert.are.equal("420",
      run("import os; os.stat('from-kernel').st_mode & 0o777").text)
    assert(code.files:write("to-kernel", "back"))
    assert.are.equal("'back'", run("open('to-kernel').read()").text)
  end)

  it("is interrupted when its time is over, and goes on", function()
    run("kept = 1")
    local begin = core.now()
    local execution = assert(code:run_code(
      "import time\nprint('begun', flush=True)\ntime.sleep(60)",
      { timeout = 5 }))
    assert.is_true(core.now() - begin < 40)
    assert.are.same({ "Timeout", "run_code exceeded 5s" },
      { execution.error.name, execution.error.value })
    assert.is_true(execution.timed_out)
    assert.are.equal("begun\n", table.concat(execution.logs.stdout))
    begin = core.now()
    assert.are.equal("1", run("kept").text)
    assert.is_true(core.now() - begin < 40) -- of 60
  end)

  it("is interrupted when a callback raises, and goes on", function()
    local ok, why = pcall(code.run_code, code,
      "import time\nprint('begun', flush=True)\ntime.sleep(60)",
      { on_stdout = function() error("mine", 0) end })
    assert.is_false(ok)
    assert.are.equal("mine", why)
    local begin = core.now()
    assert.are.equal("2", run("1 + 1").text)
    assert.is_true(core.now() - begin < 40) -- of 60
  end)

  it("is replaced when it has died", function()
    run("lost = 1")
    local execution = assert(code:run_code("import os; os._exit(1)"))
    assert.are.equal("Disconnected", execution.error.name)
    assert.are.equal("NameError", error_in_new("lost", {}))
    assert.are.equal("3", run("1 + 2").text)
  end)

  it("is replaced when somebody removed it meanwhile", function()
    run("lost = 1")
    local other = assert(runner.Capsule.connect(code.id, s:options()))
    assert.are.equal("1", assert(other:run_code("lost")).text)
    assert(other:remove_context())
    other:close()
    assert(wrenn.task.sleep(0.2))
    local execution = assert(code:run_code("lost"))
    assert.is_truthy(execution.error.name == "NameError"
      or execution.error.name == "Disconnected")
    assert.are.equal("2", run("2").text)
  end)

  it("has contexts, which run at the same time", function()
    local context = assert(code:create_context({ cwd = "/tmp" }))
    run("mine = 1")
    assert.are.equal("'/tmp'", run("import os; os.getcwd()",
      { context = context }).text)
    assert.are.equal("NameError",
      error_of("mine", { context = context }).name)
    -- Each waits for what the other does.
    local wait = "import os, time\nopen('/tmp/%s', 'w').close()\n"
      .. "while not os.path.exists('/tmp/%s'): time.sleep(0.01)\n'%s'"
    local texts = {}
    wrenn.task.run(function()
      assert(wrenn.task.gather({
        function() texts[1] = run(wait:format("a", "b", "a")).text end,
        function()
          texts[2] = run(wait:format("b", "a", "b"), { context = context }).text
        end,
        function() texts[3] = run("'c'").text end,
      }))
    end)
    assert.are.same({ "'a'", "'b'", "'c'" }, texts)
    local count = 0
    for _, one in ipairs(assert(code:list_contexts())) do
      count = count + (one.id == context.id and 1 or 0)
      assert.are.equal("python3", one.kernel)
    end
    assert.are.equal(1, count)
    assert(code:restart_context(context))
    assert.are.equal("NameError", error_in_new("os", { context = context }))
    assert(code:remove_context(context))
    local execution, err = code:run_code("1", { context = context })
    assert.is_nil(execution)
    assert.are.equal("NotFoundError", err.type)
  end)

  it("can be another kernel", function()
    local context = assert(code:create_context({ kernel = "python3" }))
    assert.are.equal("python3", context.kernel)
    assert.are.equal("1", run("1", { context = context }).text)
    assert(code:remove_context(context))
  end)

  it("survives a pause of its capsule", function()
    run("kept = 2")
    assert(code:pause({ wait = true }))
    local execution, err = code:run_code("kept", { jupyter_timeout = 20 })
    assert.is_nil(execution)
    assert.are.equal("ConflictError", err.type)
    assert(code:resume({ wait = true }))
    assert.are.equal("2", run("kept").text)
  end)

  it("is another one in another capsule", function()
    run("secret = 1")
    local other = assert(runner.Capsule.create(s:options()))
    -- Neither the capsule nor its Jupyter is running yet.
    local execution = assert(other:run_code("secret",
      { jupyter_timeout = 120 }))
    assert.are.equal("NameError", execution.error.name)
    assert.are.equal("1", run("secret").text)
    assert(other:destroy({ wait = true }))
    other:close()
    assert.are.equal("1", run("secret").text)
  end)
end)

walled("a machine without Jupyter", function()
  -- What is there is hidden, from a server that runs behind a wall of its own.
  local hidden = "bwrap --dev-bind / / --ro-bind /dev/null"
    .. " /usr/bin/jupyter-server %s --isolation none -- sh -c '%s'"
  local create = 'curl -s -H "X-API-Key: $WRENN_API_KEY" -d "{'
    .. '\\"template\\":\\"%s\\"}" $WRENN_BASE_URL/v1/capsules'

  it("creates no capsules of the template, and says why", function()
    local program = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"
    for template, answer in pairs({ minimal = '"status":"starting"',
      ["code-runner-beta"] = "code%-runner%-beta needs jupyter%-server" }) do
      local pipe = assert(io.popen(hidden:format(program,
        create:format(template))))
      local text = pipe:read("*a")
      pipe:close()
      assert.is_truthy(text:find(answer), text)
    end
  end)
end)

walled("a code runner on a private network", function()
  it("listens on its port, for the proxy and for what is inside", function()
    local s = server.start("--network none --generation 0.3")
    local code = assert(runner.Capsule.create(s:options({ wait = true })))
    local function is_version()
      local result = assert(code.commands:run("curl -s --noproxy '*'"
        .. " http://localhost:8888/api"))
      return result.stdout:find('{"version": "', 1, true) ~= nil
    end
    local function calculates(value, text, context)
      local execution = assert(code:run_code(text, { context = context,
        jupyter_timeout = 120 }))
      assert.are.same({ value }, { execution.text, execution.error })
    end
    calculates("4", "2 * 2")
    assert.is_true(is_version())
    -- And again where the capsule has been paused, and with a new kernel.
    assert(code:run_code("kept = 3"))
    assert(code:pause({ wait = true }))
    assert(code:resume({ wait = true }))
    assert.is_true(is_version())
    calculates("3", "kept")
    local context = assert(code:create_context())
    calculates("5", "5", context)
    assert(code:restart_context(context))
    calculates("6", "6", context)
    s:stop()
  end)
end)
