-- Which kernel runs code: with any set of kernelspecs, and never one that belongs
-- to somebody else. Jupyter is a scripted peer.

local cjson = require("cjson")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local jupyter = require("spec.support.jupyter")
local runner = require("wrenn.code_runner")
local wrenn = require("wrenn")

-- What Jupyter answers about kernelspecs of these names.
local function specs_of(default, ...)
  local list = {}
  for i, name in ipairs({ ... }) do
    list[i] = ('"%s":{"name":"%s","spec":{}}'):format(name, name)
  end
  return ('{"default":"%s","kernelspecs":{%s}}'):format(default,
    table.concat(list, ","))
end

describe("the kernel of code", function()
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

  -- What was asked of Jupyter, with the kernelspec that was to be started.
  local function asked()
    local list = {}
    for _, text in ipairs(p:received()) do
      local line = text:match("^(%u+ /api/%S+)")
      if line then
        local body = text:match("\r\n\r\n(.+)$")
        list[#list + 1] = line
          .. (body and " " .. (cjson.decode(body).name or "") or "")
      end
    end
    return list
  end

  it("is python3's where 'wrenn' is not installed", function()
    local code = capsule_of({ kernels = "[]",
      specs = specs_of("ir", "ir", "python3") })
    assert.is_nil(assert(code:run_code("1")).error)
    assert.are.equal("python3", code.kernel)
    assert.are.same({ "GET /api/kernels", "POST /api/kernels wrenn",
      "GET /api/kernelspecs", "POST /api/kernels python3",
      "GET /api/kernels/k-new/channels" }, asked())
  end)

  it("is Jupyter's default where python3 is not installed either", function()
    local code = capsule_of({ kernels = "[]",
      specs = specs_of("conda", "conda", "ir") })
    assert.is_nil(assert(code:run_code("1")).error)
    assert.are.equal("conda", code.kernel)
  end)

  it("may be one of python3 that is there", function()
    local code = capsule_of({ kernels = '[{"id":"k-7","name":"python3"}]',
      specs = specs_of("python3", "python3") })
    assert(code:run_code("1"))
    local list = asked()
    assert.are.equal("GET /api/kernels/k-7/channels", list[#list])
    assert.are.equal(4, #list)
  end)

  it("is found out once", function()
    local code = capsule_of({ kernels = "[]",
      specs = specs_of("python3", "python3") })
    assert.are.equal("python3", assert(code:create_context()).kernel)
    assert.are.equal("python3", assert(code:create_context()).kernel)
    assert(code:run_code("1"))
    assert.are.same({ "GET /api/kernels", "POST /api/kernels wrenn",
      "GET /api/kernelspecs", "POST /api/kernels python3",
      "GET /api/kernels", "POST /api/kernels python3",
      "GET /api/kernels", "POST /api/kernels python3",
      "GET /api/kernels/k-new3/channels" }, asked())
  end)

  it("is no other than the one that was named", function()
    local code = capsule_of({ kernels = "[]",
      specs = specs_of("python3", "python3", "conda") }, { kernel = "ir" })
    local begin = core.now()
    for _, result in ipairs({ { code:run_code("1") },
      { code:create_context() } }) do
      assert.is_nil(result[1])
      local err = result[2]
      assert.are.equal("NotFoundError", err.type)
      assert.is_truthy(err.message:find("no kernelspec 'ir'", 1, true))
      assert.is_truthy(err.message:find("conda, python3", 1, true))
      assert.is_truthy(err.message:find("No such kernel named ir", 1, true),
        err.message)
    end
    assert.is_true(core.now() - begin < 20) -- of 30
    assert.are.equal("ir", code.kernel)
  end)

  it("is none where no kernelspec is installed", function()
    local code = capsule_of({ kernels = "[]", specs = specs_of("python3") })
    local execution, err = code:run_code("1")
    assert.is_nil(execution)
    assert.are.equal("NotFoundError", err.type)
    assert.is_truthy(err.message:find("there is: none", 1, true))
  end)

  it("that cannot be started is tried again, and Jupyter says why", function()
    local code = capsule_of({ kernels = "[]",
      specs = specs_of("wrenn", "wrenn"), http = [[
        if req.method == "POST" then
          return c:respond(500, '{"message":"Unhandled error",'
            .. '"reason":"out of memory"}')
        end
      ]] })
    local begin = core.now()
    local execution, err = code:run_code("1", { jupyter_timeout = 4 })
    assert.is_nil(execution)
    assert.are.equal("TimeoutError", err.type)
    assert.are.equal("Jupyter not available within 4s: Unhandled error:"
      .. " out of memory", err.message)
    assert.is_true(core.now() - begin < 20)
  end)

  it("is none that was started for a context", function()
    local code = capsule_of({ kernels = "[]" })
    local context = assert(code:create_context())
    assert.are.equal("k-new", context.id)
    assert(code:run_code("1"))
    assert.are.same({ "GET /api/kernels", "POST /api/kernels wrenn",
      "GET /api/kernels", "POST /api/kernels wrenn",
      "GET /api/kernels/k-new2/channels" }, asked())
  end)

  it("is none that is being started for a context", function()
    -- The kernel is listed before the one who started it has the answer.
    local code = capsule_of({ kernels = "[]", http = [[
      if req.method == "POST" and not held then
        held = true
        kernels = '[{"id":"k-held","name":"wrenn"}]'
        repeat c:sleep(0.01) until looked
        return c:respond(201, '{"id":"k-held","name":"wrenn"}')
      end
      looked = held
    ]] })
    wrenn.task.run(function()
      local making = wrenn.task.spawn(code.create_context, code)
      expect.soon(function()
        return table.concat(asked()):find("POST /api/kernels", 1, true)
      end)
      assert(code:run_code("1"))
      assert.are.equal("k-held", assert(making:wait()).id)
    end)
    local list = asked()
    assert.are.equal("GET /api/kernels/k-new/channels", list[#list])
  end)

  it("has its socket closed when the capsule is destroyed", function()
    local code = capsule_of({})
    local context = assert(code:create_context())
    assert(code:run_code("1"))
    assert(code:run_code("1", { context = context }))
    assert(code:destroy())
    local closed, deleted, deadline = 0, nil, core.now() + 30
    while closed < 2 and core.now() < deadline do
      assert(wrenn.task.sleep(0.02))
      closed = 0
      for i, text in ipairs(p:received()) do
        closed = closed + (text == "socket closed" and 1 or 0)
        deleted = text:find("^DELETE /v1/") and i or deleted
      end
    end
    assert.are.equal(2, closed)
    assert.is_truthy(deleted)
  end)

  it("has its socket closed at the end of a scope, and lives on", function()
    p = jupyter({})
    local code = assert(runner.Capsule.connect("cl-1", p:options()))
    wrenn.with(code, function()
      assert(code:run_code("1"))
    end)
    expect.soon(function()
      local list = p:received()
      return list[#list] == "socket closed"
    end)
    assert.is_nil(table.concat(p:received()):find("DELETE ", 1, true))
  end)
end)
