-- The wrenn command on a terminal: bold text, questions, silence, Ctrl-C.

local cli = require("spec.support.cli")
local compat = require("spec.support.compat")
local peer = require("spec.support.peer")
local servers = require("spec.support.server")
local wrenn = require("wrenn")

describe("on a terminal the wrenn command", function()
  local server

  setup(function()
    server = servers.start()
  end)

  teardown(function()
    server:stop()
  end)

  -- Runs a shell's line on a terminal and does what `steps` say (see
  -- typist.py). Returns what the terminal shows.
  local function on_terminal(of, line, steps)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(table.concat(steps, "\n"), "\n")
    file:close()
    local output = compat.output_of(("%s python3 spec/support/typist.py sh -c"
      .. " %s <%s 2>&1; s=$?; echo; echo typist $s"):format(cli.environment(of),
      cli.quoted("trap : INT; " .. line .. "; echo status $?"), path))
    os.remove(path)
    assert.is_truthy(output:find("\ntypist 0\n$"), output)
    return output
  end

  it("has bold headings, unless that is unwanted", function()
    local seen = { "see status 0" }
    assert.is_truthy(on_terminal(server, "TERM=xterm bin/wrenn list", seen)
      :find("\27[1mID", 1, true))
    for _, plain in ipairs({ "TERM=dumb bin/wrenn list",
      "TERM=xterm NO_COLOR=1 bin/wrenn list", "bin/wrenn list --json",
      "TERM=xterm bin/wrenn list | cat" })
    do
      assert.is_falsy(on_terminal(server, plain, seen):find("\27", 1, true),
        plain)
    end
  end)

  it("asks before it destroys all", function()
    local client = assert(wrenn.Client(server:options()))
    local id = assert(wrenn.Capsule.create({ client = client, wait = true })).id
    on_terminal(server, "bin/wrenn rm --all",
      { "see Destroy 1 capsule? [y/N]", "type \\n", "see status 1" })
    assert.are.equal("running", client.capsules:get(id).status)
    on_terminal(server, "bin/wrenn rm --all",
      { "see [y/N]", "type y\\n", "see " .. id, "see status 0" })
    client:close()
  end)

  it("shows how much has been copied", function()
    local id = assert(wrenn.Capsule.create(server:options({ wait = true }))).id
    local path = os.tmpname()
    os.remove(path)
    for _, case in ipairs({ { "spec/fuzz " .. id .. ":/tmp/in", "spec/fuzz" },
      { id .. ":/tmp/in " .. path, "/tmp/in" },
      { "Makefile " .. id .. ":/tmp/file", "Makefile" },
      { id .. ":/tmp/file " .. path .. "/", "/tmp/file" } })
    do
      on_terminal(server, "TERM=xterm bin/wrenn cp " .. case[1],
        { "see \r" .. case[2] .. "  ", "see \r\27[K", "see status 0" })
    end
    for _, plain in ipairs({ "TERM=dumb bin/wrenn cp",
      "TERM=xterm bin/wrenn cp -q", "TERM=xterm bin/wrenn cp --json" })
    do
      assert.is_falsy(on_terminal(server, plain .. " Makefile " .. id .. ":",
        { "see status 0" }):find("Makefile", 1, true), plain)
    end
    os.execute("rm -rf " .. path)
  end)

  it("says for whom it waits, once", function()
    local stalled = peer.start([[ c:request() c:sleep(9) ]])
    local of = { url = stalled.url, key = server.key }
    local output = on_terminal(of, "bin/wrenn list",
      { "see still waiting for " .. stalled.url })
    assert.is_falsy(output:find("waiting.*waiting"), output)
    stalled:stop()
  end)

  it("ends with 130 for Ctrl-C", function()
    local stalled = peer.start([[ c:request() c:sleep(30) ]])
    local of = { url = stalled.url, key = server.key }
    local output = on_terminal(of, "bin/wrenn list",
      { "see still waiting", "type \\x03", "see status 130" })
    assert.is_falsy(output:find("traceback", 1, true), output)
    stalled:stop()
  end)
end)
