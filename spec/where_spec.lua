-- What errors, mistakes and printed objects tell whoever reads them: where, what
-- was meant, and what a thing is.

local compat = require("spec.support.compat")
local host = require("spec.support.host")
local peer = require("spec.support.peer")
local servers = require("spec.support.server")
local wrenn = require("wrenn")

local errors, task = wrenn.errors, wrenn.task

local NOBODY = { base_url = "http://127.0.0.1:1", api_key = "k_no_secret" }

local function here(level)
  local info = debug.getinfo((level or 1) + 1, "Sl")
  return info.short_src .. ":" .. info.currentline
end

describe("the place of an error", function()
  it("is the line that called the library", function()
    local _, err = wrenn.Capsule.create(NOBODY) local place = here()
    assert.are.equal(place, err.where)
    assert.is_truthy(tostring(err):find(" at " .. place, 1, true),
      tostring(err))
    _, err = assert(wrenn.Client(NOBODY)).capsules:create() place = here()
    assert.are.equal(place, err.where)
  end)

  it("is that line in a task, too, whatever the library does there", function()
    local places, found = {}, {}
    local function note(_, err)
      found[#found + 1] = err.where
      places[#places + 1] = here(2)
    end
    task.run(function()
      note(wrenn.Capsule.create(NOBODY)) -- it goes on in a task of its own
      task.spawn(function()
        note(wrenn.Capsule.create(NOBODY))
      end):wait()
      note(task.spawn(wrenn.Capsule.create, NOBODY):wait())
      wrenn.with(setmetatable({}, { __close = function() end }), function()
        note(wrenn.Capsule.create(NOBODY))
      end)
      task.with_timeout(0.05, function()
        note(task.sleep(9))
      end)
      local one
      one = task.spawn(function()
        note(task.sleep(9))
      end)
      task.sleep(0.01)
      one:cancel()
      one:wait()
    end)
    assert.are.equal(6, #found)
    assert.are.same(places, found)
  end)

  it("is no part of the text of a program", function()
    local err = assert((loadstring or load)( -- luacheck: ignore 113
      [[local key = "wrn_secret" return select(2, require("wrenn").Client(
        { api_key = key, base_url = "nowhere" }))]]))()
    assert.are.equal('[string "..."]:1', err.where)
  end)
end)

-- Runs a program whose error nobody catches. Returns what is printed.
local function output(code)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write('local wrenn = require("wrenn")\n', code, "\n")
  file:close()
  local text = compat.output_of(compat.lua .. " " .. path .. " 2>&1")
  os.remove(path)
  return text, path
end

describe("nobody catches it:", function()
  it("an error by check is printed, with its place", function()
    local text, path = output([[wrenn.check(wrenn.Capsule.create({
      api_key = "k", base_url = "http://127.0.0.1:1" }))]])
    assert.is_truthy(text:find("ConnectionError: ", 1, true), text)
    assert.is_truthy(text:find("at " .. path .. ":[23]"), text)
    for _, way in ipairs({ "wrenn.task.run(%s)", "wrenn.with(setmetatable({},"
      .. " { __close = print }), %s)" })
    do
      text = output(way:format([[function()
        wrenn.check(nil, wrenn.errors.new("NotFoundError", "not to be seen"))
      end]]))
      assert.is_truthy(text:find("NotFoundError: not to be seen", 1, true),
        text)
    end
  end)

  it("but check gives the object to whoever catches it", function()
    local err = errors.new("NotFoundError", "x")
    for _, catch in ipairs({ pcall, function(fn, ...)
      local args = { ... }
      return xpcall(function()
        return fn(compat.unpack(args, 1, 2))
      end, function(raised)
        return raised
      end)
    end, function(fn, ...)
      return coroutine.resume(coroutine.create(function(...)
        return fn(...)
      end), ...)
    end }) do
      local ok, raised = catch(wrenn.check, nil, err)
      assert.is_false(ok)
      assert.are.equal(err, raised)
    end
  end)

  it("a mistake in a task has its traceback", function()
    local text, path = output([[
      local function deep() local none; return none.field end
      wrenn.task.run(function() local it = deep() return it end)]])
    assert.is_truthy(text:find(path .. ":2: attempt to index", 1, true), text)
    local _, last = text:find("stack traceback:\n", 1, true)
    assert.is_truthy(last, text)
    local trace = text:sub(last)
    assert.is_truthy(trace:find(path .. ":2: in ", 1, true), text)
    assert.is_truthy(trace:find(path .. ":3: in ", 1, true), text)
    local one = task.spawn(function()
      error("mistaken")
    end)
    local _, err = one:wait()
    assert.is_truthy(tostring(err):find("where_spec.lua:%d+: mistaken\nstack"))
    assert.is_nil(tostring(err):find("wrenn/task", 1, true), tostring(err))
  end)

  it("a task that nobody runs is told of at the end", function()
    local text, path = output([[
      wrenn.task.spawn(print, "ran")
      wrenn.task.spawn(print, "cancelled"):cancel()]])
    assert.are.equal(("wrenn: a task spawned at %s:2 has never run: wait for"
      .. " it, or spawn it inside wrenn.task.run\n"):format(path), text)
    assert.are.equal("ran\n", (output([[
      wrenn.task.spawn(print, "ran"):wait()]])))
    assert.are.equal("ran\n", (output([[
      wrenn.task.run(function() wrenn.task.spawn(print, "ran") end)]])))
  end)
end)

describe("a mistake", function()
  local function said(fn, ...)
    local ok, why = pcall(fn, ...)
    assert.is_false(ok)
    return why
  end

  it("with a colon or without an object is said", function()
    local Capsule, Code = wrenn.Capsule, wrenn.code_runner.Capsule
    for _, call in ipairs({
      { Capsule.create, Capsule, NOBODY }, { Capsule.list, Capsule, {} },
      { Capsule.connect, Capsule, "cl-1" }, { Code.create, Code, NOBODY },
      { Code.list, Code }, { Code.connect, Code, "cl-1" },
      { wrenn.Client, wrenn, NOBODY },
    }) do
      local why = said(call[1], call[2], call[3])
      assert.is_truthy(why:find("call it with a dot", 1, true), why)
    end
    local why = said(function()
      Capsule:create({ wait = true })
    end)
    assert.is_truthy(why:find("where_spec.lua:", 1, true), why)
  end)

  it("in the name of an option is guessed", function()
    local create = wrenn.Capsule.create
    for name, meant in pairs({ env = "envs", timeuot = "timeout", CWD = "cwd",
      on_stdot = "on_stdout" })
    do
      local capsule = { is_commands = true }
      local why = said(getmetatable(require("wrenn.commands").new({}, "x"))
        .__index.run, capsule, "true", { [name] = true })
      assert.is_truthy(why:find(("'%s' to 'run' (there is no such option; did"
        .. " you mean '%s'?)"):format(name, meant), 1, true), why)
    end
    assert.is_truthy(said(create, { memory = 1 }):find("'memory_mb'?", 1, true))
    assert.is_truthy(said(create, { flavour = 1 })
      :find("(there is no such option)", 1, true))
  end)

  it("in the name of a type raises", function()
    local err = errors.new("HostHasCapsulesError", "x")
    assert.is_truthy(said(err.is, err, "NotFound"):find("there is no type"
      .. " 'NotFound'; did you mean 'NotFoundError'?", 1, true))
    assert.is_truthy(said(err.is, err, nil):find("'name' to 'is'", 1, true))
    assert.is_true(err:is("WrennError"))
  end)

  it("in a mode that is decimal is refused", function()
    local files = setmetatable({ is_files = true },
      { __index = require("wrenn.files.base").Files })
    for _, mode in ipairs({ 755, 644, 600, 777, 700, 1777, 2755 }) do
      local why = said(files.chmod, files, "x", mode)
      assert.is_truthy(why:find(('tonumber("%d", 8)'):format(mode), 1, true),
        why)
      why = said(files.write_files, files, { { path = "x", data = "",
        mode = mode } })
      assert.is_truthy(why:find('tonumber("', 1, true), why)
    end
  end)

  it("in the place of the server is named by the URL", function()
    local p = peer.answering({ 404, "<html><h1>Nothing here</h1></html>" },
      { 200, "<html>A page</html>" })
    local options = p:options({ api_key = "wrn_key_of_mine" })
    options.base_url = options.base_url .. "/wrn_key_of_mine"
    for _ = 1, 2 do
      local _, err = wrenn.Capsule.get_info("cl-1", options)
      assert.are.equal(p.url .. "/***/v1/capsules/cl-1", err.url)
      assert.is_truthy(tostring(err):find(err.url, 1, true))
    end
    p:stop()
    p = peer.start([[ c:send("HTTP/1.0 400 Bad Request\r\n\r\n") ]])
    options = p:options()
    options.base_url = options.base_url:gsub("^http:", "https:")
    local _, err = wrenn.Capsule.create(options)
    assert.are.equal(options.base_url .. "/v1/capsules", err.url)
    p:stop()
  end)

  it("in the choice of a C module is said", function()
    local other = compat.output_of("echo build/luajit; " .. compat.lua
      .. " -v 2>&1"):find("[Jj][Ii][Tt] 2") and "build" or "build/luajit"
    if compat.output_of(compat.lua .. " -v 2>&1"):find("5.1", 1, true) then
      other = "build"
    end
    local text = compat.output_of(([[LUA_CPATH="%s/?.so" %s -e '%s' 2>&1]])
      :format(other, compat.lua, 'require("wrenn")'))
    assert.is_truthy(text:find(("%s/wrenn/core.so was built for Lua 5.%d, and"
      .. " this is Lua 5."):format(other, other == "build" and 4 or 1), 1,
      true), text)
  end)
end)

describe("in a capsule", function()
  local s, capsule

  setup(function()
    s = servers.start()
    capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
  end)

  teardown(function()
    capsule:destroy()
    s:stop()
  end)

  it("a failed command shows the end of what it said", function()
    local _, err = capsule.commands:run("seq 1000 >&2; echo 'the reason' >&2;"
      .. " exit 3", { check = true })
    assert.are.equal("CommandError", err.type)
    assert.is_truthy(err.message:find("exited with 3: %.%.%..* the reason$"),
      err.message)
    assert.is_true(#err.message < 500)
    _, err = capsule.commands:run("exit 3", { check = true })
    assert.are.equal("'exit 3' exited with 3", err.message)
  end)

  it("objects say what they are", function()
    local id = capsule.id
    local stream = assert(capsule.commands:stream("cat; sleep 9"))
    assert.are.equal("start", stream:read().type)
    assert.are.equal(("wrenn.Stream (pid %d, open)"):format(stream.pid),
      tostring(stream))
    stream:close()
    assert.are.equal(("wrenn.Stream (pid %d, ended)"):format(stream.pid),
      tostring(stream))
    local term = assert(capsule:pty({ cmd = "/bin/sh" }))
    assert.is_truthy(tostring(term):find("^wrenn%.Pty %("))
    term:close()
    assert.are.equal("wrenn.Files (" .. id .. ")", tostring(capsule.files))
    assert.are.equal("wrenn.Commands (" .. id .. ")",
      tostring(capsule.commands))
    assert.are.equal("wrenn.Git (" .. id .. ")", tostring(capsule.git))
    assert.are.equal("wrenn.Snapshots (" .. s.url .. ")",
      tostring(capsule.client.snapshots))
    local job = assert(capsule.commands:run("sleep 9", { background = true }))
    assert.are.equal(("wrenn.CommandHandle (pid %d in %s)"):format(job.pid, id),
      tostring(job))
    job:kill()
    local one = task.spawn(function() end)
    assert.are.equal("wrenn.Task (not begun yet)", tostring(one))
    one:wait()
    assert.are.equal("wrenn.Task (done)", tostring(one))
  end)

  it("a picture can be decoded", function()
    assert.are.equal("\137PNG", wrenn.base64_decode("iVBORw=="))
    assert.are.equal("\137PNG", wrenn.base64_decode("iVBO\nRw==\n"))
    assert.is_nil(wrenn.base64_decode("*"))
  end)

  it("the first program of all shows the line that failed", function()
    local figures = host.run(s, "", compat.lua .. [[ -e '
      local wrenn = require("wrenn")
      local capsule = wrenn.check(wrenn.Capsule.create({ wait = true }))
      print(select(2, capsule.files:read("none")))
      capsule:destroy()
    ']])
    assert.is_truthy(figures.text:find("NotFoundError: [^\n]* at %(command"
      .. " line%):4\n"), figures.text)
  end)
end)
