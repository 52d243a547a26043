-- wrenn exec and wrenn run: words, bytes and exit statuses as they are, and
-- nothing left behind.

local cli = require("spec.support.cli")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local system = require("spec.c.system")
local wrenn = require("wrenn")

local HUP, INT, TERM = 1, 2, 15

local function write_file(bytes)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  return path
end

local function random(size)
  local parts = {}
  for i = 1, size / 256 do
    parts[i] = core.random(256)
  end
  return table.concat(parts)
end

generations.each(function(generation)
  describe("wrenn exec with " .. generation.name, function()
    local server, capsule

    setup(function()
      server = generations.start(generation)
      capsule = assert(wrenn.Capsule.create(server:options({ wait = true })))
    end)

    teardown(function()
      server:stop()
    end)

    local function exec(line, opts)
      return cli.run(server, "exec " .. line, opts)
    end

    it("passes words, variables and the directory on as they are", function()
      local words = { "a  b", "'\"", "$HOME `id`", "", "two\nlines", "~", "-x",
        "\255" }
      local line = {}
      for i, word in ipairs(words) do
        line[i] = cli.quoted(word)
      end
      local result = exec(capsule.id .. " printf '<%s>' "
        .. table.concat(line, " "))
      assert.are.equal("", result.err)
      assert.are.equal("<" .. table.concat(words, "><") .. ">", result.out)
      local file = write_file("# none\nFROM=file\r\nLOCAL\nB=2\n")
      result = exec(("--env-file %s -e B=3 -e UNSET -w /tmp %s sh -c %s")
        :format(file, capsule.id,
          cli.quoted('echo "$FROM $LOCAL $B ${UNSET-no}"; pwd')),
        { env = "LOCAL=here" })
      os.remove(file)
      assert.are.equal("file here 3 no\n/tmp\n", result.out)
    end)

    it("passes bytes both ways, and the exit status", function()
      local bytes = random(256 * 1024)
      local file = write_file(bytes)
      local result = exec("-i " .. capsule.id
        .. " sh -c 'cat; printf \"\\377\" >&2; exit 7'", { stdin = file })
      assert.is_true(bytes == result.out)
      assert.are.same({ "\255", 7 }, { result.err, result.status })
      assert.are.equal("", exec(capsule.id .. " cat", { stdin = file }).out)
      os.remove(file)
    end)

    it("exits with what a shell would say", function()
      assert.are.equal(127, exec(capsule.id .. " no-such-program").status)
      assert.are.equal(126, exec(capsule.id .. " /etc").status)
      assert.are.equal(137, exec(capsule.id .. " sh -c 'kill -9 $$'").status)
      local begin = core.now()
      local late = exec("--timeout 0.5 " .. capsule.id .. " sleep 1000")
      assert.are.equal(124, late.status)
      assert.is_truthy(late.err:find("did not end within", 1, true))
      assert.is_true(core.now() - begin < 20)
    end)
  end)
end)

describe("wrenn", function()
  local server, capsule

  setup(function()
    server = require("spec.support.server").start()
    capsule = assert(wrenn.Capsule.create(server:options({ wait = true })))
  end)

  teardown(function()
    server:stop()
  end)

  local function run(line, opts)
    return cli.run(server, line, opts)
  end

  -- Starts a command line. Returns what reads its output: first comes its pid,
  -- last "status N".
  local function begin(line)
    local pipe = assert(io.popen(("sh -c %s; echo status $?"):format(cli.quoted(
      "echo $$; exec " .. cli.environment(server) .. " bin/wrenn " .. line))))
    return pipe, tonumber(pipe:read("*l"))
  end

  local function no_processes()
    expect.soon(function()
      return #assert(capsule.commands:list()) == 0
    end)
  end

  local LOOP = " sh -c 'trap \"echo got; exit 5\" INT; echo go;"
    .. " while :; do sleep 0.1; done' "

  it("exec says what is wrong with its words, and exits with 2", function()
    for line, what in pairs({
      ["exec"] = "ID is missing",
      ["exec x"] = "ID is missing, and WRENN_CAPSULE is not set",
      ["exec -it x y"] = "--tty with --interactive needs a terminal",
      ["exec -di x y"] = "--detach does not go with",
      ["exec --timeout x y z"] = "--timeout: 'x' is not a duration",
      ["exec --env-file /nowhere x y"] = "--env-file: /nowhere",
      ["exec -e =1 x y"] = "-e: '=1' does not look like KEY=VALUE",
      ["exec x ''"] = "CMD: the name of a program is not empty",
      ["run"] = "CMD is missing",
      ["run --rm -d x"] = "--rm does not go with --detach",
      ["run --rm --detach-keys x y"] = "--rm does not go with --detach-keys",
    }) do
      local result = run(line)
      assert.are.equal(2, result.status, line)
      assert.is_truthy(result.err:find(what, 1, true), result.err)
    end
    assert.are.equal(125, run("exec no-such-capsule true").status)
    local result = run("exec -u no-such-user " .. capsule.id .. " true")
    assert.are.equal(125, result.status)
    assert.is_truthy(result.err:find("no user 'no-such-user'", 1, true))
  end)

  it("exec takes the capsule from WRENN_CAPSULE", function()
    assert.are.equal("hi\n", run("exec -- echo hi",
      { env = "WRENN_CAPSULE=" .. capsule.id }).out)
  end)

  it("exec does not wait for input once the command has ended", function()
    local start = core.now()
    local pipe, pid = begin("exec -i " .. capsule.id .. " true"
      .. " <<E\n$(sleep 0)\nE")
    assert.is_number(pid)
    assert.are.equal("status 0", pipe:read("*l"))
    pipe:close()
    local from, to = system.pipe() -- which nobody ever writes to
    local fifo = ("/proc/%d/fd/%d"):format(core.pid(), from)
    assert.are.equal(0, run("exec -i " .. capsule.id .. " true",
      { stdin = fifo }).status)
    system.close(from)
    system.close(to)
    assert.is_true(core.now() - start < 20)
  end)

  it("exec passes Ctrl-C on, and kills at the second", function()
    local pipe, pid = begin("exec " .. capsule.id .. LOOP)
    assert.are.equal("go", pipe:read("*l"))
    system.kill(pid, INT)
    assert.are.same({ "got", "status 5" }, { pipe:read("*l", "*l") })
    pipe:close()
    pipe, pid = begin("exec " .. capsule.id .. " sh -c 'trap \"echo got\" INT;"
      .. " echo go; while :; do sleep 0.1; done'")
    assert.are.equal("go", pipe:read("*l"))
    system.kill(pid, INT)
    assert.are.equal("got", pipe:read("*l"))
    system.kill(pid, INT)
    assert.are.equal("status 130", pipe:read("*l"))
    pipe:close()
    no_processes()
  end)

  it("exec kills what does not end with it", function()
    local pipe, pid = begin("exec " .. capsule.id .. " sh -c 'trap \"\" TERM;"
      .. " echo go; sleep 60'")
    assert.are.equal("go", pipe:read("*l"))
    local asked = core.now()
    system.kill(pid, TERM)
    assert.are.equal("status 143", pipe:read("*l"))
    pipe:close()
    assert.is_true(core.now() - asked < 40) -- of 60
    no_processes()
  end)

  it("exec leaves no process behind where nobody reads its output", function()
    local pipe = io.popen("(" .. cli.environment(server) .. " bin/wrenn exec "
      .. capsule.id .. " yes; echo status $? >&2) 2>&1 >/dev/full")
    assert.is_truthy(pipe:read("*a"):find("status 125", 1, true))
    pipe:close()
    pipe = io.popen("{ (" .. cli.environment(server) .. " bin/wrenn exec "
      .. capsule.id .. " yes; echo status $? >&2) | head -c 3; } 2>&1")
    assert.is_truthy(pipe:read("*a"):find("status 141", 1, true))
    pipe:close()
    no_processes()
  end)

  it("exec -d prints the tag by which the output is found", function()
    local result = run("exec -d " .. capsule.id .. " sh -c 'echo hi; exit 3'")
    assert.are.equal(0, result.status)
    local tag = result.out:match("^(%S+)\n$")
    assert.are.same({ "hi\n", 3 }, (function(done)
      return { done.stdout, done.exit_code }
    end)(assert(assert(capsule.commands:durable(tag)):wait())))
    result = core.json(run("exec -d --timeout 0.5 --json " .. capsule.id
      .. " sleep 30").out)
    assert.are.equal(capsule.id, result.capsule_id)
    local _, err = assert(capsule.commands:durable(result.tag)):wait()
    expect.error("TimeoutError", nil, err)
    no_processes()
  end)

  local function count()
    local list = {}
    for _, info in ipairs(assert(wrenn.Capsule.list(server:options()))) do
      if info.status ~= "stopped" and info.status ~= "stopping" then
        list[#list + 1] = info.id .. info.status
      end
    end
    table.sort(list)
    return table.concat(list, "\n")
  end

  it("run leaves the capsule, and prints its id on stderr", function()
    local result = run("run sh -c 'echo hi; exit 4'")
    assert.are.same({ "hi\n", 4 }, { result.out, result.status })
    local id = result.err:match("^(cl%-%w+)\n$")
    assert(wrenn.Capsule.destroy(id, server:options({ wait = true })))
  end)

  it("run --rm leaves no capsule, whatever happens", function()
    local before = count()
    local result = run("run --rm --ttl 60 -m a=b sh -c 'echo hi; exit 4'")
    assert.are.same({ "hi\n", "", 4 },
      { result.out, result.err, result.status })
    assert.are.equal(127, run("run --rm no-such-program").status)
    assert.are.equal(125, run("run --rm -w /nowhere true").status)
    for _, signal in ipairs({ INT, TERM, HUP }) do
      local pipe, pid = begin("run --rm" .. LOOP)
      assert.are.equal("go", pipe:read("*l"))
      system.kill(pid, signal)
      assert.is_truthy(pipe:read("*a"):find("status "
        .. (signal == INT and 5 or 128 + signal) .. "\n", 1, true))
      pipe:close()
    end
    local pipe = io.popen("{ (" .. cli.environment(server)
      .. " bin/wrenn run --rm yes; echo status $? >&2) | head -c 3; } 2>&1")
    assert.is_truthy(pipe:read("*a"):find("status 141", 1, true))
    pipe:close()
    assert.are.equal(before, count())
  end)
end)
