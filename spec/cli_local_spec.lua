-- wrenn local start, stop, status and env: a server in the background.

local cli = require("spec.support.cli")
local compat = require("spec.support.compat")
local core = require("wrenn.core")

describe("wrenn local", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir -m 700 " .. folder)
  end)

  local function run(line)
    return cli.run(nil, line, { env = "XDG_RUNTIME_DIR=" .. folder })
  end

  after_each(function()
    run("local stop")
    os.execute("rm -rf " .. folder)
  end)

  it("starts one server, which the other commands find", function()
    assert.are.equal(1, run("local status").status)
    assert.are.equal(125, run("local env").status)

    local started = run("local start --generation 0.4")
    assert.are.equal(0, started.status, started.err)
    local url = started.out:match("^(http://%S+)\n$")
    assert.are.equal(started.out, run("local start").out)
    local status = core.json(run("local status --json").out)
    assert.is_true(status.running)
    assert.are.equal(url, status.url)

    -- It is said once, on stderr, that this server is used.
    local first, second = run("create -m a=b"), run("list -q")
    assert.are.equal(0, first.status, first.err)
    assert.is_truthy(first.err:find(url, 1, true))
    assert.are.equal(first.out, second.out)
    assert.are.equal("", second.err)

    -- A key is not taken from it for another server.
    local elsewhere = cli.run({ url = url, key = "wrn_wrong" }, "list",
      { env = "XDG_RUNTIME_DIR=" .. folder })
    assert.are.equal(125, elsewhere.status)

    local listed = compat.output_of(
      ("eval \"$(%s XDG_RUNTIME_DIR=%s bin/wrenn local env)\"; WRENN_LUA=%s"
        .. " XDG_RUNTIME_DIR=/nonexistent bin/wrenn list -q"):format(
        cli.environment(nil), folder, cli.quoted(compat.lua)))
    assert.are.equal(first.out, listed)

    assert.are.equal(0, run("local stop").status)
    assert.are.equal("gone\n", compat.output_of(
      ("test -d /proc/%d || echo gone"):format(status.pid)))
    assert.are.equal(1, run("local status").status)
    assert.are.equal(125, run("list").status)
    assert.are.equal("", compat.output_of("ls " .. folder .. "/wrenn"))
  end)

  for _, page in ipairs({ "README.md", "docs/cli.md" }) do
    it("serves the example of " .. page, function()
      local file = assert(io.open(page))
      local block = file:read("*a"):match("```sh\n(export PATH=[^`]-)```")
      file:close()
      local text = compat.output_of(("%s XDG_RUNTIME_DIR=%s sh -ec %s 2>&1;"
        .. " echo status $?"):format(cli.environment(nil), folder,
        cli.quoted(block)))
      assert.is_truthy(text:find("\nHELLO\n", 1, true), text)
      assert.is_truthy(text:find("\nstatus 0\n$"), text)
    end)
  end

  it("keeps its key from others", function()
    assert.are.equal(0, run("local start").status)
    local modes = compat.output_of("cd " .. folder .. " && stat -c '%a %n'"
      .. " wrenn wrenn/state wrenn/key")
    assert.are.equal("700 wrenn\n600 wrenn/state\n600 wrenn/key\n", modes)
    local key = core.json(run("local env --json").out).WRENN_API_KEY
    local pid = core.json(run("local status --json").out).pid
    assert.is_falsy(compat.output_of(("tr '\\0' ' ' </proc/%d/cmdline")
      :format(pid)):find(key, 1, true))
  end)

  it("uses no state that others may write to", function()
    assert.are.equal(0, run("local start").status)
    os.execute("chmod 770 " .. folder .. "/wrenn")
    assert.are.equal(125, run("list").status)
    local result = run("local start")
    assert.are.equal(125, result.status)
    assert.is_truthy(result.err:find("a folder of yours alone", 1, true))
    os.execute("chmod 700 " .. folder .. "/wrenn")
  end)

  it("takes no later process with its pid for the server", function()
    assert.are.equal(0, run("local start").status)
    local state = folder .. "/wrenn/state"
    os.execute(("cp %s %s.kept; sed -i 's/^ticks .*/ticks 1/' %s"):format(state,
      state, state))
    assert.are.equal(1, run("local status").status)
    os.execute(("cat %s.kept >%s"):format(state, state))
    assert.are.equal(0, run("local status").status)
  end)

  it("says why a server did not start", function()
    local result = run("local start --listen 192.0.2.1:0")
    assert.are.equal(125, result.status)
    assert.is_truthy(result.err:find("only loopback addresses", 1, true),
      result.err)
    assert.are.equal(2, run("local start --generation 9").status)
  end)
end)
