-- The wrenn command: what runs in capsules, what they use, what happens to
-- them, and snapshots and volumes.

local cli = require("spec.support.cli")
local compat = require("spec.support.compat")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local servers = require("spec.support.server")
local wrenn = require("wrenn")

describe("the wrenn command", function()
  local server, capsule

  setup(function()
    server = servers.start("--generation 0.4 --user root")
    capsule = assert(wrenn.Capsule.create(server:options({ wait = true })))
  end)

  teardown(function()
    server:stop()
  end)

  local function run(line, opts)
    return cli.run(server, (line:gsub("@", capsule.id)), opts)
  end

  local function out(line, opts)
    local result = run(line, opts)
    assert.are.equal(0, result.status, line .. ": " .. result.err)
    return result.out
  end

  local function json(text)
    local value, why = core.json(text)
    assert.is_nil(why)
    return value
  end

  local function start(cmd, opts)
    opts = opts or {}
    opts.background = true
    return assert(capsule.commands:run(cmd, opts))
  end

  it("prints what a durable command has printed, and follows it", function()
    capsule.commands:run("mkfifo fifo")
    local handle = start("printf '1\\n2\\n\\377'; echo e1 >&2; cat ./fifo;"
      .. " echo 4", { durable = true, tag = "job" })
    capsule.commands:run("while ! [ -s .wrenn/t-job/err ]; do sleep 0.02; done")
    -- It still runs: what there is, and no waiting.
    local result = run("logs @ job")
    assert.are.equal("1\n2\n\255", result.out)
    assert.are.equal("e1\n", result.err)
    assert.are.equal("2\n\255", out("logs -n 2 @ job"))
    assert.are.equal("", out("logs --lines=0 @ job"))

    local pipe = io.popen(("%s bin/wrenn logs -f %s job </dev/null 2>&1")
      :format(cli.environment(server), capsule.id))
    assert.are.equal("1", pipe:read("*l"))
    start("echo 3 >fifo")
    assert.is_truthy(pipe:read("*a"):find("3\n4\n", 1, true))
    pipe:close()

    local ended = handle:wait()
    assert.are.equal(0, ended.exit_code)
    local lines = {}
    for line in out("logs -f --json @ job"):gmatch("[^\n]+") do
      lines[#lines + 1] = json(line)
    end
    assert.are.same({ type = "exit", exit_code = 0 }, lines[#lines])
    result = run("logs @ nothing")
    assert.are.equal(125, result.status)
  end)

  it("lists commands and signals them", function()
    local handle = start("exec sleep 7001", { tag = "sleeper" })
    local listed = json(out("top @ --json"))
    assert.are.equal("sleeper", listed[#listed].tag)
    assert.are.equal(handle.pid, listed[#listed].pid)
    assert.is_truthy(out("top @"):find("sleeper", 1, true))

    local trapped = start("trap 'echo caught; exit 5' USR1; echo ready;"
      .. " while :; do sleep 0.05; done", { durable = true, tag = "trap" })
    local stream = trapped:stream()
    assert.are.equal("ready\n", stream:read().data)
    out("kill -s SIGUSR1 @ trap")
    assert.are.equal("caught\n", stream:read().data)
    assert.are.equal(5, stream:wait().exit_code)

    out("kill --signal=int @ " .. handle.pid)
    expect.soon(function()
      for _, process in ipairs(assert(capsule.commands:list())) do
        if process.tag == "sleeper" then
          return false
        end
      end
      return true
    end)
    local result = run("kill @ sleeper")
    assert.are.equal(125, result.status)
    result = run("kill -s USR1 @ trap")
    assert.are.equal(125, result.status)
    assert.is_truthy(result.err:find("has ended", 1, true), result.err)
  end)

  it("shows what capsules use", function()
    local point = json(out("stats --no-stream --json @"))
    assert.are.equal(capsule.id, point.id)
    assert.is_truthy(point.mem_bytes)
    local text = out("stats --no-stream")
    assert.is_truthy(text:find("^ID +CPU +MEMORY +DISK\ncl%-"), text)
  end)

  it("prints the URL of a port, and asks nobody for it", function()
    assert.are.equal(capsule:get_url(8080) .. "\n", out("url @ 8080"))
    assert.are.equal(capsule:get_url(80, { scheme = "ws" }),
      json(out("url 80 --ws --json", { env = "WRENN_CAPSULE=" .. capsule.id }))
        .url)
    local nowhere = { url = "http://127.0.0.1:1", key = server.key }
    assert.are.equal(0, cli.run(nowhere, "url " .. capsule.id .. " 1").status)
  end)

  it("shows events as they happen", function()
    local path = os.tmpname()
    local pid = compat.output_of(("%s bin/wrenn events --json -f capsule=cl-"
      .. " -f event=capsule.create -f event=capsule.destroy </dev/null >%s"
      .. " 2>&1 & echo $!"):format(cli.environment(server), path))
    local made, text = {}
    repeat -- until it listens
      local id = out("create"):match("%S+")
      made[id] = true
      out("rm " .. id)
      text = compat.output_of("cat " .. path)
    until text:find("\n")
    os.execute("kill " .. pid)
    os.remove(path)
    for line in text:gmatch("([^\n]+)\n") do
      local event = json(line)
      assert.is_truthy(event.event == "capsule.create"
        or event.event == "capsule.destroy", event.event)
      assert.is_true(made[event.resource.id])
    end
  end)

  it("keeps capsules as templates", function()
    assert.are.equal("kept\n", out("snapshot create -n kept @"))
    assert.are.equal("kept\n", out("snapshot ls -q"))
    assert.is_truthy(out("snapshot ls --all"):find("kept +snapshot"))
    local made = out("create -T kept"):match("%S+")
    assert.are.equal(made .. "\n", out("list -q -T kept"))
    out("snapshot rename kept renamed")
    assert.are.equal("renamed", json(out("snapshot ls --json"))[1].name)
    local result = run("snapshot rm nothing renamed")
    assert.are.equal(125, result.status)
    assert.are.equal("renamed\n", result.out)
    assert.are.equal("[]\n", out("snapshot ls --json"))
    out("rm -q " .. made)
  end)

  it("makes volumes and mounts them", function()
    assert.are.equal("[]\n", out("volume ls --json"))
    local id = out("volume create cache --size 1G"):match("^(vol%-%w+)\n$")
    local listed = json(out("volume ls --json"))
    assert.are.equal(1024, listed[1].size_mb)
    assert.is_truthy(out("volume list"):find("vl%-cache +1G +detached"))
    local made = out("create --volume cache"):match("%S+")
    assert.are.equal(made, json(out("volume ls --json"))[1].sandbox_id)
    assert.are.equal(125, run("volume rm cache").status) -- it is attached
    out("rm -q " .. made)
    assert.are.equal(id .. "\n", out("volume rm " .. id:sub(1, 10)))
    assert.are.equal("", out("volume ls -q"))
  end)

  it("says how it all is", function()
    local found = {}
    for _, check in ipairs(json(out("doctor --json"))) do
      found[check.check] = check
    end
    for _, name in ipairs({ "key", "json", "server", "generation",
      "access" })
    do
      assert.are.equal("ok", found[name].status, name)
    end
    assert.is_truthy(found.generation.detail:find("0.", 1, true))
    local result = cli.run({ url = server.url, key = "wrn_wrong" }, "doctor")
    assert.are.equal(125, result.status)
    assert.is_truthy(result.out:find("\nfail  access", 1, true), result.out)
    assert.is_falsy((result.out .. result.err):find("wrn_wrong", 1, true))
    assert.are.equal(125, cli.run(nil, "doctor").status)
  end)

  it("has a man page for everything", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    out("man --install " .. folder)
    local pages = compat.output_of("ls " .. folder)
    require("wrenn.cli.commands").each(function(command)
      assert.is_truthy(pages:find("wrenn-" .. command.name .. ".1\n", 1, true))
    end)
    local warnings = compat.output_of("command -v groff >/dev/null || exit;"
      .. " groff -man -Tascii -ww -z " .. folder .. "/*.1 2>&1")
    assert.are.equal("", warnings)
    os.execute("rm -r " .. folder)
    assert.is_truthy(out("man rm"):find("\\-\\-dry\\-run", 1, true))
  end)
end)
