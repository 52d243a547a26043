-- The wrenn command: its framework, and the commands for whole capsules.

local cli = require("spec.support.cli")
local compat = require("spec.support.compat")
local core = require("wrenn.core")
local servers = require("spec.support.server")
local wrenn = require("wrenn")

local commands = require("wrenn.cli.commands")

describe("the wrenn command", function()
  local server

  setup(function()
    server = servers.start()
  end)

  teardown(function()
    server:stop()
  end)

  local function run(line, opts)
    return cli.run(server, line, opts)
  end

  -- Runs what must succeed, and returns its output.
  local function out(line, opts)
    local result = run(line, opts)
    assert.are.equal(0, result.status, line .. ": " .. result.err)
    return result.out
  end

  local function json(text)
    assert.is_falsy(text:find("\27", 1, true), text)
    local value, why = core.json(text)
    assert.is_nil(why)
    return value
  end

  local function get(id)
    return assert(wrenn.Client(server:options())).capsules:get(id)
  end

  describe("misused", function()
    -- Command line, what stderr names.
    local cases = {
      { "", "a command is missing" },
      { "lst", "did you mean 'list'?" },
      { "list --al", "--al: there is no such option; did you mean '--all'?" },
      { "list -x", "-x: there is no such option" },
      { "list extra", "'extra' is one operand too many" },
      { "list --all=yes", "--all takes no value" },
      { "list --status", "--status needs a value" },
      { "list -m", "-m needs a value" },
      { "list -m x", "-m: 'x' does not look like KEY=VALUE" },
      { "create --ttl soon", "--ttl: 'soon' is not a duration" },
      { "create --ttl 5m3", "--ttl: '5m3' is not a duration" },
      { "create --cpus=-1", "--cpus: '-1' is not a whole number" },
      { "create --memory 1X", "--memory: '1X' is not a size" },
      { "inspect", "ID is missing, and WRENN_CAPSULE is not set" },
      { "wait --for never x", "--for: 'never' is none of running" },
      { "rm", "ID is missing" },
      { "rm --all cl-1", "--all and filters take no ID" },
      { "url x 0", "PORT: '0' is not a port" },
      { "forward x 1:0", "[LOCAL:]PORT: '1:0' is not [LOCAL:]PORT" },
      { "kill -s NEVER x 1", "--signal: 'NEVER' is none of" },
      { "events -f colour=red", "--filter: 'colour' is none of" },
      { "snapshot", "a subcommand is missing" },
      { "snapshot lst", "there is no such subcommand; did you mean 'list'?" },
      { "snapshot rename a", "NEW-NAME is missing" },
      { "help nothing", "TOPIC: there is neither a command nor a topic" },
      { "completion tcsh", "SHELL: it is bash, zsh or fish" },
    }

    it("names what is wrong, and exits with 2", function()
      for _, case in ipairs(cases) do
        local result = run(case[1])
        assert.are.equal(2, result.status, case[1])
        assert.is_truthy(result.err:find(case[2], 1, true),
          case[1] .. ": " .. result.err)
        assert.are.equal("", result.out)
      end
    end)

    it("says it in JSON where JSON is asked for", function()
      local result = run("create --ttl soon --json")
      local err = json(result.err).error
      assert.are.equal(2, result.status)
      assert.are.equal(2, err.exit_code)
      assert.are.equal("Misuse", err.type)
      assert.is_truthy(err.message:find("^%-%-ttl: "))
    end)

    it("asks nothing without a terminal", function()
      local id = out("create"):match("%S+")
      local result = run("rm --all")
      assert.are.equal(2, result.status)
      assert.is_truthy(result.err:find("--yes is needed", 1, true))
      assert.are.equal("running", get(id).status)
      out("rm " .. id)
    end)
  end)

  it("has help for every command, without an escape", function()
    commands.each(function(command)
      for _, sub in ipairs(command.subcommands or { command }) do
        local name = sub == command and command.name
          or command.name .. " " .. sub.name
        local text = out(name .. " --help")
        assert.is_truthy(text:find("usage: wrenn " .. name, 1, true), name)
        assert.is_falsy(text:find("\27", 1, true), name)
      end
    end)
    assert.are.equal(out("help rm"), out("rm -h"))
    assert.are.equal(out("help snapshot rm"), out("snapshot rm --help"))
    assert.is_truthy(out("help exit-status"):find("124", 1, true))
    assert.is_truthy(out("--help"):find("Creates a capsule", 1, true))
  end)

  it("has the commands that its page names", function()
    local file = assert(io.open("docs/cli.md"))
    local page = file:read("*a")
    file:close()
    local known = require("wrenn.cli.manual").table()
    for row in page:gmatch("\n(| `wrenn [^\n]+)") do
      assert.is_truthy(known:find(row, 1, true), row)
    end
  end)

  it("tells its version, and loads nothing for it", function()
    assert.are.equal("wrenn " .. wrenn._VERSION .. "\n", out("version"))
    assert.are.equal("wrenn " .. wrenn._VERSION .. "\n",
      out("--version", { env = "LUA_CPATH=/nonexistent" }))
    assert.are.equal(wrenn._VERSION, json(out("version --json")).version)
  end)

  it("is found through a symbolic link", function()
    local link = os.tmpname()
    os.remove(link)
    local text = compat.output_of(("ln -s \"$PWD/bin/wrenn\" %s; cd /; %s %s"
      .. " version; rm %s"):format(link, cli.environment(nil), link, link))
    assert.are.equal("wrenn " .. wrenn._VERSION .. "\n", text)
  end)

  it("exits with 125 when there is no key, no server, no capsule", function()
    local result = cli.run(nil, "list")
    assert.are.equal(125, result.status)
    assert.is_truthy(result.err:find("wrenn local start", 1, true))
    result = cli.run({ url = server.url, key = "wrn_wrong" }, "list --json")
    assert.are.equal(125, result.status)
    assert.are.equal(401, json(result.err).error.status_code)
    result = cli.run({ url = "http://127.0.0.1:1", key = server.key }, "list")
    assert.are.equal(125, result.status)
    assert.are.equal("", result.out)
    result = run("inspect cl-nothing")
    assert.are.equal(125, result.status)
    assert.is_truthy(result.err:find("there is no capsule 'cl-nothing'", 1,
      true))
  end)

  it("exits with 141 when nobody reads", function()
    for _, trap in ipairs({ "", "trap '' PIPE; " }) do
      local fifo = os.tmpname()
      local text = compat.output_of(("rm %s; mkfifo %s; exec 3>&1; {"
        .. " sh -c %s; echo $? >&3; } | { exec <&-; echo go >%s; }; rm %s")
        :format(fifo, fifo, cli.quoted(trap .. "read go <" .. fifo .. "; exec "
          .. cli.environment(server) .. " bin/wrenn help"), fifo, fifo))
      assert.are.equal("141\n", text)
    end
  end)

  it("creates, lists, inspects and destroys", function()
    local id = out("create -m job=42 -m a='b c' --ttl 2m --memory 1G")
      :match("^(cl%-%w+)\n$")
    local other = json(out("create --json")).id
    assert.are.equal("running", get(id).status)
    assert.are.equal(1024, get(id).memory_mb)

    assert.are.equal(other .. "\n" .. id .. "\n", out("list -q"))
    assert.are.equal(other .. "\n" .. id .. "\n", out("ls -q -s running"))
    assert.are.equal("", out("list -q --status paused"))
    local listed = json(out("list --json"))
    assert.are.same({ other, id }, { listed[1].id, listed[2].id })
    assert.are.equal("[]\n", out("list --json -T nothing"))
    local table_ = out("list")
    assert.is_truthy(table_:find("^ID +STATUS +TEMPLATE"), table_)
    assert.is_truthy(table_:find(id .. "  running", 1, true), table_)
    assert.is_falsy(table_:find("version", 1, true), table_)

    assert.are.equal(id, json(out("inspect --json " .. id)).id)
    local prefix = id:sub(1, 12)
    assert.is_truthy(out("inspect " .. prefix):find("status +running"))
    assert.is_truthy(out("inspect " .. prefix:sub(4)):find(id, 1, true))
    assert.is_truthy(out("inspect", { env = "WRENN_CAPSULE=" .. id })
      :find(id, 1, true))
    local result = run("inspect cl-")
    assert.are.equal(125, result.status)
    assert.is_truthy(result.err:find("the beginning of 2 capsules' ids", 1,
      true), result.err)

    assert.are.equal(id .. "\n", out("rm --dry-run " .. id))
    assert.are.equal("running", get(id).status)
    result = run(("rm cl-nothing %s"):format(prefix))
    assert.are.equal(125, result.status) -- and it went on to the other
    assert.are.equal(id .. "\n", result.out)
    assert.are.same({ other }, json(out("rm --all -y --json")))
    assert.are.equal("", out("list -q"))
  end)

  it("selects by metadata where the server keeps it", function()
    local newer = servers.start("--generation 0.4")
    local function of_newer(line)
      local result = cli.run(newer, line)
      assert.are.equal(0, result.status, result.err)
      return result.out
    end
    local one = of_newer("create -m job=42 -m kind=a"):match("%S+")
    local two = of_newer("create -m job=43"):match("%S+")
    assert.are.equal(one .. "\n", of_newer("list -q -m job=42 -m kind=a"))
    assert.are.equal("", of_newer("list -q -m job=43 -m kind=a"))
    assert.are.equal(two .. "\n", of_newer("rm -y --metadata=job=43"))
    assert.are.equal(one .. "\n", of_newer("list -q"))
    newer:stop()
  end)

  it("pauses, resumes and waits", function()
    local id = out("create"):match("%S+")
    assert.are.equal(id .. "\n", out("pause " .. id))
    assert.are.equal("paused", get(id).status)
    assert.are.equal(id .. "\n", out("wait --for paused " .. id))
    local begin = core.now()
    local result = run("wait --timeout 0.2s " .. id)
    assert.are.equal(124, result.status)
    assert.is_true(core.now() - begin < 20) -- of 30
    assert.are.equal("running", json(out("resume --json " .. id))[1].status)
    out("rm -q --no-wait " .. id)
    out("wait --for gone " .. id)
    assert.are.equal("", out("list -q"))
  end)
end)
