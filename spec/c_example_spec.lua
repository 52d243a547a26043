-- Any Lua: C programs that use the library, examples/c/run_command.c and the one
-- in docs/c.md.

local server = require("spec.support.server")
local wrenn = require("wrenn")

-- The program lies in the build directory that the tests run from.
local program = (os.getenv("WRENN_LOCAL") or "build/local/wrenn-local")
  :gsub("local/wrenn%-local$", "examples/c/run_command")

describe("the C example", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  local function run(command, key)
    local pipe = assert(io.popen(("WRENN_BASE_URL=%s WRENN_API_KEY=%s %s '%s'"
      .. " 2>&1; echo status $?"):format(s.url, key or s.key, program,
        command)))
    local text = pipe:read("*a")
    pipe:close()
    return text
  end

  it("streams a command and ends with its exit code", function()
    assert.are.equal("out\nerr\nstatus 3\n",
      run("echo out; sleep 0.2; echo err >&2; exit 3"))
  end)

  it("hands on every byte of much output", function()
    local text = run("seq 1 200000 | cksum; seq 1 200000 | tail -n 1")
    assert.is_truthy(text:find("\n200000\nstatus 0\n$"))
  end)

  it("destroys its capsule", function()
    run("true")
    for _, info in ipairs(assert(wrenn.Capsule.list(s:options()))) do
      assert.is_true(info.status == "stopping" or info.status == "stopped")
    end
  end)

  it("asks for a key", function()
    assert.are.equal("run_command: WRENN_API_KEY: not set, or too long\n"
      .. "status 1\n", run("true", "''"))
  end)

  it("says what the server refuses", function()
    local text = run("true", "wrn_wrong")
    assert.is_truthy(text:find("HTTP status 401", 1, true))
    assert.is_truthy(text:find("status 1\n$"))
    assert.is_nil(text:find("wrn_wrong", 1, true))
  end)

  it("of the docs does what they say", function()
    local pipe = io.popen(("WRENN_BASE_URL=%s WRENN_API_KEY=%s %s 2>&1;"
      .. " echo status $?"):format(s.url, s.key,
        (program:gsub("run_command$", "docs_example"))))
    local text = pipe:read("*a")
    pipe:close()
    assert.are.equal("exec: 200 hello\nstream: 6 bytes, exit code 7\n"
      .. "write: 204\nread: 200 remember\ndestroy: 2\nstatus 0\n", text)
  end)
end)
