-- capsule.files: read, write, list, exists, make_dir and remove.

local compat = require("spec.support.compat")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

local function failure(status, code, message)
  return { status, ('{"error":{"code":"%s","message":"%s"}}')
    :format(code, message) }
end

local list_of_x = { 200, '{"entries":[{"name":"x","path":"/tmp/x",'
  .. '"type":"directory"}]}' }

describe("files of a scripted server", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function files_of(...)
    p = peer.answering(peer.RUNNING, ...)
    return p:capsule().files
  end

  it("are listed as deep as asked", function()
    local files = files_of({ 200, '{"entries":[]}' })
    assert.are.same({}, (files:list("/a", { depth = 3 })))
    assert.are.same({ path = "/a", depth = 3 },
      require("cjson").decode(p:received()[2]:match("\r\n\r\n(.*)$")))
  end)

  it("are sent with their path first", function()
    local files = files_of({ 204 })
    assert.is_true(files:upload_stream("/p q", { "ab", "cd" }))
    local request = p:received()[2]
    local path = request:find('name="path"\r\n\r\n/p q\r\n', 1, true)
    local file = request:find('name="file"', 1, true)
    assert.is_true(path < file)
    assert.is_truthy(request:find("\r\n\r\nabcd\r\n--", 1, true))
    assert.is_truthy(request:find("Content-Length:", 1, true))
  end)

  local missing = {
    ["404"] = failure(404, "not_found", "gone"),
    ["502 that says 404"] = failure(502, "agent_error",
      "read file: read file /x: status 404: path '/x' does not exist"),
    ["502 with the system's words"] = failure(502, "agent_error",
      "error removing: No such file or directory"),
    ["500 with the system's words"] = failure(500, "internal_error",
      "error removing: No such file or directory"),
  }
  for name, answer in pairs(missing) do
    it("that are missing are not found: " .. name, function()
      local files = files_of(answer)
      for _, call in ipairs({ files.read, files.remove, files.list,
        files.download_stream }) do
        local result, err = call(files, "/x")
        assert.is_nil(result)
        assert.is_true(err:is("NotFoundError"))
      end
    end)
  end

  for name, answer in pairs({
    ["conflict"] = failure(409, "conflict", "directory exists"),
    ["already_exists"] = failure(409, "already_exists", "x"),
    ["an internal error"] = failure(500, "internal",
      "already_exists: directory already exists: /tmp/x"),
  }) do
    it("make_dir of what exists is as good: " .. name, function()
      local files = files_of(answer, list_of_x)
      assert.are.equal("/tmp/x", assert(files:make_dir("/tmp/x")).path)
    end)
  end

  it("make_dir keeps the error when nothing is there", function()
    local files = files_of(failure(409, "conflict", "no"), { 200, "{}" })
    local entry, err = files:make_dir("/tmp/x")
    assert.is_nil(entry)
    assert.is_true(err:is("ConflictError"))
    assert.are.equal("no", err.message)
  end)

  it("an empty download of a missing file is not an empty file", function()
    local files = files_of({ 200, '{"entries":[]}' })
    local download, err = files:download_stream("/tmp/none")
    assert.is_nil(download)
    assert.is_true(err:is("NotFoundError"))
    p:stop()
    files = files_of({ 200, '{"entries":[{"name":"x","path":"/tmp/x",'
      .. '"type":"file","size":0}]}' }, { 200, "" },
      { 200, '{"stdout":"0 /tmp/x\\n","stderr":"","exit_code":0}' })
    download = assert(files:download_stream("/tmp/x"))
    assert.are.same({}, { download:read() })
  end)

  it("a broken download raises, and does not look like the end", function()
    p = peer.start([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path:find("stream") then
          c:send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
          c:sleep(0.05)
          return c:close()
        end
        c:respond(200, req.path:find("list") and '{"entries":[{"name":"x",'
          .. '"path":"/x","type":"file","size":9}]}'
          or '{"id":"cl-1","status":"running"}')
      end
    ]])
    local files = p:capsule().files
    local seen = {}
    local ok, err = pcall(function()
      for piece in assert(files:download_stream("/x")) do
        seen[#seen + 1] = piece
      end
    end)
    assert.is_false(ok)
    assert.is_true(err:is("ConnectionError"))
    assert.are.equal("abc", table.concat(seen))
    local download = assert(files:download_stream("/x"))
    assert.are.equal("abc", download:read())
    local piece
    piece, err = download:read()
    assert.is_nil(piece)
    assert.is_true(err:is("ConnectionError"))
    assert.are.equal(err, select(2, download:read()))
  end)

  it("a source that gives up aborts the upload", function()
    local files = files_of({ 204 })
    local ok, err = files:upload_stream("/x", function()
      return nil, "disk on fire"
    end)
    assert.is_nil(ok)
    assert.is_truthy(err.message:find("disk on fire", 1, true))
    ok, err = pcall(files.upload_stream, files, "/x", function()
      error("raised", 0)
    end)
    assert.are.same({ false, "raised" }, { ok, err })
  end)
end)

describe("files of wrenn-local", function()
  local s, capsule, files

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
    files = capsule.files
  end)

  teardown(function()
    s:stop()
  end)

  local contents = {
    ["text"] = "hello world",
    ["bytes"] = "\0\1\2\255",
    ["nothing"] = "",
    ["line ends and boundaries"] = "\r\n--\r\n\r\n----\r\n",
    ["3 MiB"] = ("0123456789abcde\n"):rep(196608),
  }
  for name, content in pairs(contents) do
    it("keep " .. name, function()
      assert.is_true(files:write("/tmp/f", content))
      assert.is_true(content == files:read("/tmp/f"))
      assert.is_true(files:upload_stream("/tmp/g", content))
      local pieces = {}
      for piece in assert(files:download_stream("/tmp/g")) do
        pieces[#pieces + 1] = piece
      end
      assert.is_true(content == table.concat(pieces))
    end)
  end

  it("are made with their directories, and replaced", function()
    assert.is_true(files:write("/tmp/deep/nested/dir/f", "longer"))
    assert.is_true(files:write("/tmp/deep/nested/dir/f", "new"))
    assert.are.equal("new", files:read("/tmp/deep/nested/dir/f"))
  end)

  it("are seen by commands, and theirs are seen here", function()
    assert.is_true(files:write("/tmp/ours", "ours"))
    assert.are.equal("ours", capsule.commands:run("cat /tmp/ours").stdout)
    assert(capsule.commands:run("printf theirs > /tmp/theirs"))
    assert.are.equal("theirs", files:read("/tmp/theirs"))
  end)

  for _, path in ipairs({ "/tmp/ä b.txt", "/tmp/$(x) 'q' \"d\"", "~/home.txt",
    "relative.txt", "/tmp/line\nbreak" }) do
    it("may be called " .. path:gsub("\n", "\\n") .. "", function()
      assert.is_true(files:write(path, path))
      assert.are.equal(path, files:read(path))
      assert.is_true(files:exists(path))
      assert.is_true(files:remove(path))
      assert.is_false(files:exists(path))
    end)
  end

  it("are listed, one level or more", function()
    assert.is_true(files:write("/tmp/l/a.txt", "12"))
    assert.is_true(files:write("/tmp/l/sub/b.txt", ""))
    local function names(depth)
      local list = {}
      for _, entry in ipairs(assert(files:list("/tmp/l", { depth = depth })))
      do
        list[#list + 1] = entry.path .. " " .. entry.type
      end
      table.sort(list)
      return list
    end
    assert.are.same({ "/tmp/l/a.txt file", "/tmp/l/sub directory" }, names(1))
    assert.are.same({ "/tmp/l/a.txt file", "/tmp/l/sub directory",
      "/tmp/l/sub/b.txt file" }, names(2))
    local entry = assert(files:list("/tmp/l"))[1]
    assert.are.equal("string", type(entry.permissions))
    assert.is_true(compat.is_integer(entry.size))
    assert.is_true(compat.is_integer(entry.modified_at))
  end)

  it("of a missing directory are not found", function()
    local list, err = files:list("/tmp/none")
    assert.is_nil(list)
    assert.is_true(err:is("NotFoundError"))
  end)

  local existence = {
    ["/"] = true, ["/tmp"] = true, ["/tmp/"] = true, ["/tmp/e/f"] = true,
    ["/tmp/e/f/"] = false, ["/tmp/e/none"] = false, ["/none/x"] = false,
    ["/tmp/e/f/x"] = false, ["~"] = true, ["/tmp/e/broken"] = true,
  }
  for path, expected in pairs(existence) do
    it(("exist or not: %s"):format(path), function()
      assert.is_true(files:write("/tmp/e/f", ""))
      assert(capsule.commands:run("ln -sf /nowhere /tmp/e/broken"))
      assert.are.equal(expected, (files:exists(path)))
    end)
  end

  it("make directories, new and old", function()
    local entry = assert(files:make_dir("/tmp/m/n"))
    assert.are.same({ "n", "/tmp/m/n", "directory" },
      { entry.name, entry.path, entry.type })
    assert.are.equal("/tmp/m/n", assert(files:make_dir("/tmp/m/n")).path)
    assert.are.equal("directory", assert(files:make_dir("/tmp/m/n/")).type)
    assert.is_true(files:write("/tmp/m/file", ""))
    local none, err = files:make_dir("/tmp/m/file")
    assert.is_nil(none)
    assert.is_true(err:is("ValidationError"))
  end)

  it("are removed, with all that is in them", function()
    assert.is_true(files:write("/tmp/r/a/b", "x"))
    assert.is_true(files:remove("/tmp/r"))
    assert.is_false(files:exists("/tmp/r"))
    local ok, err = files:remove("/tmp/r")
    assert.is_nil(ok)
    assert.is_true(err:is("NotFoundError"))
  end)

  it("that are missing are not found", function()
    for _, call in ipairs({ files.read, files.download_stream }) do
      local content, err = call(files, "/tmp/none")
      assert.is_nil(content)
      assert.is_true(err:is("NotFoundError"))
    end
  end)

  it("above 100 MiB are too large for write, not for streams", function()
    local big = ("x"):rep(101 * 1024 * 1024)
    local ok, err = files:write("/tmp/big", big)
    assert.is_nil(ok)
    assert.is_true(err:is("TooLargeError"))
    assert.is_false(files:exists("/tmp/big"))
    assert.is_true(files:upload_stream("/tmp/big", big))
    local size = 0
    for piece in assert(files:download_stream("/tmp/big")) do
      size = size + #piece
    end
    assert.are.equal(#big, size)
    assert.is_true(files:remove("/tmp/big"))
  end)

  it("are uploaded from any kind of source", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w+b"))
    file:write("from a file")
    file:seek("set")
    local left = { "from ", "a ", "function" }
    local sources = {
      ["from a string"] = "from a string",
      ["from a table"] = { "from", " a ", "table" },
      ["from a function"] = function() return table.remove(left, 1) end,
      ["from a file"] = file,
      [""] = {},
    }
    for content, source in pairs(sources) do
      assert.is_true(files:upload_stream("/tmp/s", source))
      assert.are.equal(content, files:read("/tmp/s"))
    end
    file:close()
    os.remove(path)
  end)

  it("may be left half-way", function()
    assert(capsule.commands:run("head -c 30000000 /dev/zero > /tmp/half"))
    local download = assert(files:download_stream("/tmp/half"))
    assert.is_true(#download:read() > 0)
    download:close()
    download:close()
    assert.is_nil((download:read()))
    for _ in assert(files:download_stream("/tmp/half")) do -- luacheck: ignore 512
      break
    end
    assert.are.equal("still works",
      capsule.commands:run("printf 'still works'").stdout)
  end)

  it("of a paused capsule are refused", function()
    assert(capsule:pause({ wait = true }))
    local content, err = files:read("/tmp/f")
    assert.is_nil(content)
    assert.is_true(err:is("ConflictError"))
    local ok
    ok, err = files:upload_stream("/tmp/f", ("x"):rep(1000000))
    assert.is_nil(ok)
    assert.is_true(err:is("ConflictError"))
    assert(capsule:resume({ wait = true }))
  end)
end)
