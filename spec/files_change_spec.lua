-- capsule.files: stat, rename, copy, chmod and write_files.

local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local is_error = expect.error

describe("files of a scripted server", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function files_of(...)
    p = peer.answering(peer.RUNNING, ...)
    return p:capsule().files
  end

  it("paths reach commands as arguments of their own", function()
    local done = { 200, '{"stdout":"","stderr":"","exit_code":0}' }
    local files = files_of(done, done, done)
    assert.is_true(files:rename("-a; rm -rf /", "~/b$(x)"))
    assert.is_true(files:copy("~", "/x y"))
    assert.is_true(files:chmod("c", "u+x,g=r"))
    local function sent(i)
      local body = p:received()[i]:match("\r\n\r\n(.*)$")
      body = require("cjson").decode(body)
      assert.are.equal("/usr/bin/env", body.cmd)
      assert.are.equal("LC_ALL=C", table.remove(body.args, 1))
      return body.args
    end
    assert.are.same({ "mv", "-fT", "--", "./-a; rm -rf /", "./b$(x)" },
      sent(2))
    assert.are.same({ "cp", "-aT", "--", ".", "/x y" }, sent(3))
    assert.are.same({ "chmod", "--", "u+x,g=r", "./c" }, sent(4))
  end)

  it("what a tool says decides the error's type", function()
    for text, type_name in pairs({
      ["mv: cannot stat './No': No such file or directory"] = "NotFoundError",
      ["mv: cannot move 'a' to 'b': Directory not empty"] = "ConflictError",
      ["cp: cannot overwrite directory 'b' with non-directory"] =
        "ConflictError",
      ["mv: 'a' and 'a' are the same file"] = "ConflictError",
      ["mv: cannot move 'a' to 'b': Permission denied"] = "ForbiddenError",
      ["mv: cannot create regular file 'b': Read-only file system"] =
        "ForbiddenError",
      ["mv: write error: No space left on device"] = "CommandError",
      ["mv: ': Permission denied': what"] = "CommandError",
      [""] = "CommandError",
    }) do
      local files = files_of({ 200, require("cjson").encode({ stdout = "",
        stderr = text .. "\nmore", exit_code = 1 }) })
      local err = is_error(type_name, files:rename("a", "b"))
      assert.are.equal(1, err.result.exit_code)
      p:stop()
    end
    p = peer.answering(peer.RUNNING)
  end)

  it("the first failure of several writes names its file", function()
    p = peer.start([[
      while true do
        local req = c:request()
        if not req then return end
        if not req.path:find("files/write") then
          c:respond(200, '{"id":"cl-1","status":"running"}')
        elseif req.body:find("/bad", 1, true) then
          c:respond(413, '{"error":{"code":"too_large","message":"too big"}}')
        else
          c:respond(204)
        end
      end
    ]])
    local files = p:capsule().files
    local err = is_error("TooLargeError", files:write_files({
      { path = "/good", data = "1" }, { path = "/bad", data = "2" },
    }))
    assert.are.same({ "/bad", "too_large", 413 },
      { err.path, err.code, err.status_code })
    assert.is_truthy(err.message:find("/bad", 1, true))
  end)
end)

describe("files of wrenn-local", function()
  local s, capsule, files, home

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
    files = capsule.files
    home = walls.home(capsule)
  end)

  teardown(function()
    s:stop()
  end)

  local function sh(line)
    local result = assert(capsule.commands:run(line, { check = true }))
    return result.stdout
  end

  it("are stated: every way to write a path", function()
    sh("mkdir -p st/d; printf abc > st/f; chmod 640 st/f; touch -d @9 st/f;"
      .. " ln -sf f st/l; ln -sf d st/ld; ln -sf /nowhere st/broken;"
      .. " mkfifo st/p")
    local entry = assert(files:stat("st/f"))
    assert.are.same({ "f", home .. "/st/f", "file", 3, 416, 9, "-rw-r-----" },
      { entry.name, entry.path, entry.type, entry.size, entry.mode,
        entry.modified_at, entry.permissions })
    local types = {
      ["st"] = "directory", ["st/"] = "directory", ["~/st/d"] = "directory",
      [home .. "/st//d"] = "directory", ["st/d//"] = "directory",
      ["st/l"] = "file", ["st/ld"] = "directory", ["st/ld/"] = "directory",
      ["st/broken"] = "unknown", ["st/p"] = "unknown", ["/"] = "directory",
      ["//"] = "directory", ["~"] = "directory", ["~/"] = "directory",
      ["."] = "directory", [".."] = "directory", ["st/d/.."] = "directory",
      ["/tmp/."] = "directory",
      ["st/f/"] = false, ["st/l/"] = false, ["st/broken/"] = false,
      ["st/none"] = false, ["none/x"] = false, ["st/f/x"] = false,
      ["st/f/."] = false, ["none/.."] = false,
    }
    for path, kind in pairs(types) do
      local found, err = files:stat(path)
      assert.are.equal(kind, found and found.type or false, path)
      assert.are.equal(kind ~= false, (files:exists(path)), path)
      if not found then
        is_error("NotFoundError", found, err)
      end
    end
    assert.are.equal("L", assert(files:stat("st/l")).permissions:sub(1, 1))
    assert.are.equal(home .. "/st/f", assert(files:stat("st/l")).symlink_target)
  end)

  it("'/' has an entry like any other", function()
    local entry = assert(files:stat("/"))
    assert.are.equal("/", entry.name)
    assert.are.equal("/", entry.path)
    assert.are.equal(sh("stat -c %a /"), ("%o\n"):format(entry.mode))
    assert.are.equal(sh("stat -c %U /"), entry.owner .. "\n")
    assert.is_truthy(entry.permissions:find("^d[rwx-]+$"))
    assert.are.equal("number", type(entry.size))
    assert.are.equal("number", type(entry.modified_at))
  end)

  it("of other users' homes are refused", function()
    for _, call in ipairs({ files.stat, files.exists, files.read,
      files.download_stream }) do
      is_error("ValidationError", call(files, "~bob/x"))
    end
    is_error("ValidationError", files:rename("~bob/x", "y"))
    is_error("ValidationError", files:rename("y", "~bob"))
    is_error("ValidationError", files:chmod("~bob", "644"))
  end)

  it("are renamed", function()
    sh("mkdir -p r/full/x r/empty; echo 1 > r/a; echo 2 > r/b")
    assert.is_true(files:rename("r/a", "r/b"))
    assert.is_false(files:exists("r/a"))
    assert.are.equal("1\n", files:read("r/b"))
    assert.is_true(files:rename("r/full", "r/empty"))
    assert.is_true(files:exists("r/empty/x"))
    sh("mkdir -p r/full/x")
    is_error("ConflictError", files:rename("r/full", "r/empty"))
    is_error("ConflictError", files:rename("r/b", "r/full"))
    is_error("ConflictError", files:rename("r/full", "r/full/x/y"))
    is_error("NotFoundError", files:rename("r/none", "r/x"))
    is_error("NotFoundError", files:rename("r/b", "r/none/x"))
    -- a directory at the target is not moved into
    assert.is_false(files:exists("r/full/b"))
  end)

  it("are copied, with links, rights and times", function()
    sh("mkdir -p c/t/s; echo 1 > c/t/f; chmod 700 c/t/f; touch -d @5 c/t/f;"
      .. " ln -s f c/t/l; ln -s /nowhere c/t/s/broken; chmod 500 c/t/s")
    assert.is_true(files:copy("c/t", "c/u"))
    assert.are.equal(sh("cd c/t && find . -printf '%p %y %m %l %T@\n' | sort"),
      sh("cd c/u && find . -printf '%p %y %m %l %T@\n' | sort"))
    assert.is_true(files:copy("c/t/f", "c/f"))
    assert.is_true(files:copy("c/t/l", "c/l"))
    assert.are.equal("f", sh("readlink -n c/l"))
    is_error("NotFoundError", files:copy("c/none", "c/x"))
    is_error("NotFoundError", files:copy("c/f", "c/none/x"))
    is_error("ConflictError", files:copy("c/f", "c/t"))
    is_error("ConflictError", files:copy("c/t", "c/t/inside"))
  end)

  it("of a link: only the link goes", function()
    sh("mkdir -p ln/d; echo x > ln/d/f; ln -s d ln/l")
    assert.is_true(files:rename("ln/l", "ln/m"))
    assert.is_true(files:remove("ln/m"))
    assert.are.equal("x\n", files:read("ln/d/f"))
  end)

  it("get other rights", function()
    sh("mkdir -p m; echo > m/-f; chmod 600 m/-f; cp -a m/-f ./-g")
    for mode, expected in pairs({ ["755"] = 493, ["0640"] = 416,
      ["u+x,go="] = 448, ["a=r"] = 292, ["-r"] = 0, [420] = 420,
      ["4755"] = 2541 }) do
      assert(files:chmod("m/-f", "600"))
      assert.is_true(files:chmod("m/-f", mode), tostring(mode))
      local bits = assert(files:stat("m/-f")).mode
      assert.are.equal(expected, mode == "-r" and bits % 128 or bits)
    end
    assert.is_true(files:chmod("-g", 0))
    is_error("NotFoundError", files:chmod("m/none", "644"))
    for _, mode in ipairs({ "", "8", "00644", "rwx", "u+x;", "--help",
      "u+x, g+x", -1, 4096, 1.5, {}, false })
    do
      local ok, err = pcall(files.chmod, files, "m/-f", mode)
      assert.is_false(ok, tostring(mode))
      assert.is_truthy(tostring(err):find("'mode'", 1, true))
    end
  end)

  for _, name in ipairs({ "ä b.txt", "$(x) 'q' \"d\"", "-rf", "~", "line\nend",
    "a;b", "*", "\\x" })
  do
    it("called " .. name:gsub("\n", "\\n") .. " change as others",
      function()
        assert.is_true(files:write("./odd/" .. name, "odd"))
        assert.is_true(files:rename("odd/" .. name, "./" .. name))
        assert.is_true(files:copy("./" .. name, "odd/" .. name))
        assert.is_true(files:chmod("./" .. name, "600"))
        assert.are.equal(384, assert(files:stat("odd/../" .. name)).mode)
        assert.are.equal("odd", files:read(home .. "/odd/" .. name))
        assert.is_true(files:remove("./" .. name))
        assert.is_true(files:remove(home .. "/odd/" .. name))
      end)
  end

  it("are written several at once", function()
    local list = {}
    for i = 1, 40 do
      list[i] = { path = ("wf/%d/f"):format(i), data = ("x"):rep(i) }
    end
    list[41] = { path = "wf/run.sh", data = "#!/bin/sh\n", mode = "755" }
    list[42] = { path = "wf/bits", data = "", mode = 448 }
    assert.is_true(files:write_files(list))
    for i = 1, 40 do
      assert.are.equal(("x"):rep(i), files:read(list[i].path))
    end
    assert.are.equal(493, assert(files:stat("wf/run.sh")).mode)
    assert.are.equal(448, assert(files:stat("wf/bits")).mode)
    assert.is_true(files:write_files({}))
    local err = is_error("WrennError", files:write_files({
      { path = "wf/1/f/below-a-file", data = "x" } }))
    assert.are.equal("wf/1/f/below-a-file", err.path)
  end)

  it("misuse names the argument", function()
    local cases = {
      { "path", files.stat }, { "path", files.stat, "" },
      { "path", files.exists, "a\0b" },
      { "from", files.rename }, { "to", files.rename, "a" },
      { "to", files.rename, "a", "" }, { "from", files.copy, 1 },
      { "to", files.copy, "a", {} }, { "path", files.chmod, nil, 1 },
      { "mode", files.chmod, "x" }, { "list", files.write_files },
      { "list[1]", files.write_files, { 1 } },
      { "list[1].path", files.write_files, { { data = "" } } },
      { "list[1].data", files.write_files, { { path = "x" } } },
      { "list[1].mode", files.write_files,
        { { path = "x", data = "", mode = "9" } } },
      { "list[1].mdoe", files.write_files,
        { { path = "x", data = "", mdoe = "644" } } },
    }
    for _, case in ipairs(cases) do
      local ok, err = pcall(case[2], files, case[3], case[4])
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find("'" .. case[1] .. "'", 1, true),
        tostring(err))
    end
    for _, name in ipairs({ "stat", "rename", "copy", "chmod", "write_files" })
    do
      local ok, err = pcall(files[name], "x")
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find("self", 1, true))
    end
    -- at the caller's line
    local _, err = pcall(function() files:chmod("x", "9") end)
    assert.is_truthy(tostring(err):find("files_change_spec", 1, true))
    _, err = pcall(function() files:write_files({ { path = "x" } }) end)
    assert.is_truthy(tostring(err):find("files_change_spec", 1, true))
  end)

  it("of a paused capsule are not changed", function()
    assert(capsule:pause({ wait = true }))
    is_error("ConflictError", files:stat("/tmp"))
    is_error("ConflictError", files:stat("/"))
    is_error("ConflictError", files:exists("/"))
    is_error("ConflictError", files:rename("a", "b"))
    is_error("ConflictError", files:write_files({ { path = "a", data = "" } }))
    assert(capsule:resume({ wait = true }))
  end)
end)
