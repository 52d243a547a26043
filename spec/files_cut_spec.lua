-- The stream of a file may end in good order without being complete, or be empty
-- for several reasons. The scripted server answers as real ones were observed to.

local core = require("wrenn.core")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local peer = require("spec.support.peer")
local tar = require("wrenn.files.tar")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local is_error = expect.error
local shell, read_file, write_file = disk.shell, disk.read, disk.write

local dir

setup(function()
  dir = disk.folder()
end)

teardown(function()
  shell("rm -rf " .. dir)
end)

-- `state` has `listed`: fields of the entry /x in the list, nil for none;
-- `body`: what the stream and the read give; `then_count`: what counting it in
-- the capsule says afterwards, as {code, stdout, stderr}.
local script = [[
  local json = require("cjson")
  local state = json.decode(%q)
  local function chunked(body)
    c:send("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n")
    if body ~= "" then
      c:send(("%%x\r\n%%s\r\n"):format(#body, body))
    end
    c:send("0\r\n\r\n")
  end
  while true do
    local req = c:request()
    if not req then return end
    if req.path:find("files/list") then
      c:respond(200, ('{"entries":[%%s]}'):format(
        state.listed and json.encode(state.listed) or ""))
    elseif req.path:find("/read") then
      chunked(state.body)
    elseif req.path:find("/exec") then
      local code, out, err = table.unpack(state.then_count or { 0, "0 x\n" })
      if req.body:find("umask 077", 1, true) then -- another file than before
        c:respond(200, '{"stdout":"","stderr":"","exit_code":9}')
      elseif code == "gone" then
        c:respond(404,
          '{"error":{"code":"not_found","message":"sandbox not found"}}')
      else
        c:respond(200, json.encode({ stdout = out or "", stderr = err or "",
          exit_code = code }))
      end
    elseif req.path:find("files/remove") then
      c:respond(204)
    else
      c:respond(200, '{"id":"cl-1","status":"running"}')
    end
  end
]]

local function file_of(size)
  return { name = "x", path = "/x", type = "file", size = size }
end

local count = function(n) return { 0, n .. " /x\n" } end

-- {what, state, result, of read}: a result is the bytes, or the type of an
-- error. An empty read is not asked about further than the list: of what it
-- cannot read, a server says so there.
local cases = {
  { "cut, of a capsule that still lives", { listed = file_of(9), body = "abc",
    then_count = count(9) }, "ConnectionError" },
  { "cut, of a capsule that is gone", { listed = file_of(9), body = "abc",
    then_count = { "gone" } }, "ConnectionError" },
  { "cut before its first byte", { listed = file_of(9), body = "",
    then_count = count(9) }, "ConnectionError" },
  { "whole", { listed = file_of(3), body = "abc" }, "abc" },
  { "grown meanwhile", { listed = file_of(2), body = "abc",
    then_count = count(7) }, "abc" },
  { "shorter meanwhile", { listed = file_of(9), body = "abc",
    then_count = count(3) }, "abc" },
  { "shorter meanwhile, or cut", { listed = file_of(9), body = "abcdef",
    then_count = count(3) }, "ConflictError" },
  { "empty", { listed = file_of(0), body = "", then_count = count(0) }, "" },
  { "empty only by the list", { listed = file_of(0), body = "",
    then_count = count(5) }, "ConnectionError", "" },
  { "empty, of a capsule that is gone", { listed = file_of(0), body = "",
    then_count = { "gone" } }, "NotFoundError", "" },
  { "below /proc", { listed = file_of(0), body = "abc",
    then_count = count(4) }, "abc" },
  { "below /sys", { listed = file_of(4096), body = "abc",
    then_count = count(3) }, "abc" },
  { "below /proc, of a capsule that is gone", { listed = file_of(0),
    body = "abc", then_count = { "gone" } }, "ConnectionError" },
  { "that nobody may read", { listed = file_of(0), body = "",
    then_count = { 1, "", "wc: /x: Permission denied" } }, "ForbiddenError",
    "" },
  { "in a capsule without tools", { listed = file_of(0), body = "",
    then_count = { 127, "", "sh: wc: not found" } }, "" },
  { "missing", { body = "" }, "NotFoundError" },
  { "that is a directory", { body = "",
    listed = { name = "x", path = "/x", type = "directory", size = 4096 } },
    "ValidationError" },
  { "that is a pipe", { body = "",
    listed = { name = "x", path = "/x", type = "unknown", size = 0 } },
    "ValidationError" },
  { "that is a broken link", { body = "", listed = { name = "x", path = "/x",
    type = "unknown", size = 4, symlink_target = "/x" } }, "NotFoundError" },
}

describe("a file that comes as one", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function files_of(state)
    p = peer.start(script:format(require("cjson").encode(state)))
    return p:capsule().files
  end

  local function agrees(expected, result, err)
    if not expected:find("Error$") then
      assert.are.equal(expected, result, tostring(err))
    else
      is_error(expected, result, err)
    end
  end

  for _, case in ipairs(cases) do
    local name, state, expected = case[1], case[2], case[3]

    it(name .. ": read, and by a stream", function()
      local files = files_of(state)
      agrees(case[4] or expected, files:read("/x"))
      local stream, err = files:download_stream("/x")
      local pieces = {}
      if stream then
        for piece in function() return stream:read() end do
          pieces[#pieces + 1] = piece
        end
        err = stream.failure
      end
      agrees(expected, not err and table.concat(pieces) or nil, err)
      if stream then
        assert.are.same({ nil, err }, { stream:read() })
      end
    end)

    it(name .. ": as an iterator", function()
      local files = files_of(state)
      local ok, result = pcall(function()
        local pieces = {}
        local stream, err = files:download_stream("/x")
        if not stream then
          error(err, 0)
        end
        for piece in stream do
          pieces[#pieces + 1] = piece
        end
        return table.concat(pieces)
      end)
      agrees(expected, ok and result or nil, not ok and result or nil)
    end)

    it(name .. ": downloaded", function()
      local files = files_of(state)
      local target = dir .. "/target"
      write_file(target, "before")
      local ok, err = files:download("/x", target)
      agrees(expected, ok and read_file(target), err)
      if not ok then
        assert.are.equal("before", read_file(target))
      end
      assert.are.equal("target\n", shell("ls -A " .. dir))
      if state.body == "" and not ok then -- nothing has come: nothing changes
        write_file(target .. ".part", "precious")
        agrees(expected, files:download("/x", target, { resume = true }))
        assert.are.equal("before", read_file(target))
        assert.are.equal("precious", read_file(target .. ".part"))
        os.remove(target .. ".part")
      end
      os.remove(target)
    end)
  end

  it("is verified: what was cut is no match", function()
    local hash = core.sha256()
    hash:update("abcdefghi")
    local files = files_of({ listed = file_of(3), body = "abc",
      then_count = { 0, hash:hex() .. "  /x\n" } })
    is_error("ProtocolError", files:download("/x", dir .. "/v",
      { verify = true }))
    assert.are.equal("", shell("ls -A " .. dir))
  end)

  it("is read to its end by several readers, who all hear how it ended",
    function()
      local files = files_of({ listed = file_of(9), body = "abc",
        then_count = count(9) })
      local stream = assert(files:download_stream("/x"))
      assert.are.equal("abc", stream:read())
      local results = wrenn.task.run(function()
        local tasks = {}
        for i = 1, 3 do
          tasks[i] = wrenn.task.spawn(function()
            return { stream:read() }
          end)
        end
        local list = {}
        for i = 1, 3 do
          list[i] = tasks[i]:wait()
        end
        return list
      end)
      for i = 1, 3 do
        is_error("ConnectionError", results[i][1], results[i][2])
      end
    end)

  it("as a directory: its archive has to have its end", function()
    local head = tar.header({ type = "file", path = "f", size = 3, mode = 420,
      mtime = 0 })
    local whole = head .. "abc" .. tar.padding(3) .. tar.END
    for _, size in ipairs({ 0, 100, 512, 515, 1024, 1536 }) do
      local files = files_of({ body = whole:sub(1, size),
        then_count = { 0 } })
      local err = is_error("ConnectionError",
        files:download_dir("/x", dir .. "/tree"))
      assert.are.equal("broken", err.details.kind)
      p:stop()
    end
    assert(files_of({ body = whole, then_count = { 0 } })
      :download_dir("/x", dir .. "/tree"))
    shell("rm -rf " .. dir .. "/tree")
  end)

  it("of which the list cannot be had: that is the error", function()
    p = peer.serving([[
      if req.path:find("files/list") then
        c:respond(503, "")
      elseif req.path:find("read") then
        c:respond(200, "")
      end
    ]])
    local client = assert(wrenn.Client(p:options({ retries = 0 })))
    local files = assert(Capsule.connect("cl-1", { client = client })).files
    is_error("HostUnavailableError", files:download_stream("/x"))
    is_error("HostUnavailableError", files:read("/x"))
    for _, request in ipairs(p:received()) do
      assert.is_nil(request:find("stream/read", 1, true))
    end
  end)

  it("of which the list is spoilt by another name: a command tells", function()
    p = peer.serving([[
      if req.path:find("files/list") then
        c:respond(502, '{"error":{"code":"agent_error","message":'
          .. '"internal: list dir: string field contains invalid UTF-8"}}')
      elseif req.path:find("stream/read") then
        c:respond(200, "abc")
      elseif req.path:find("/exec") then
        c:respond(200,
          '{"stdout":"3 /x\\n","stderr":"","exit_code":0}')
      end
    ]])
    local client = assert(wrenn.Client(p:options({ retries = 0 })))
    local files = assert(Capsule.connect("cl-1", { client = client })).files
    local stream = assert(files:download_stream("/x"))
    assert.are.equal("abc", stream:read())
    assert.are.same({}, { stream:read() })
  end)

  it("of a durable command: an answer that was cut is no end", function()
    p = peer.serving([[
      if req.path:find("/exec") and req.body:find("wc -c ", 1, true) then
        local body = '{"stdout":"0\\n","exit_code":10'
        c:send(("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
          .. "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n")
          :format(#body, body))
      elseif req.path:find("/exec") then
        c:respond(200, '{"stdout":"7 8\\n","stderr":"","exit_code":0}')
      end
    ]])
    local capsule = p:capsule()
    local handle = assert(capsule.commands:durable("x"))
    is_error("ProtocolError", handle:wait())
  end)
end)

generations.each(function(g)
  describe("files that are none, in a " .. g.name, function()
    local s, capsule, files

    setup(function()
      s = generations.start(g)
      capsule = assert(Capsule.create(s:options({ wait = true })))
      files = capsule.files
      assert(capsule.commands:run("mkdir -p k/dir; mkfifo k/pipe; : > k/empty;"
        .. " ln -s none k/broken; ln -s dir k/to-dir; printf x > k/f;"
        .. " ln -s f k/to-f", { check = true }))
    end)

    teardown(function()
      s:stop()
    end)

    local expected = {
      ["k/none"] = "NotFoundError", ["k/none/x"] = "NotFoundError",
      ["k/f/x"] = "NotFoundError", ["k/broken"] = "NotFoundError",
      ["k/dir"] = "ValidationError", ["k/to-dir"] = "ValidationError",
      ["k/pipe"] = "ValidationError", ["~bob/x"] = "ValidationError",
      ["~"] = "ValidationError", ["/dev/null"] = "ValidationError",
    }
    for path, type_name in pairs(expected) do
      it(path .. " is told", function()
        is_error(type_name, files:read(path))
        is_error(type_name, files:download_stream(path))
        local target = dir .. "/kept"
        write_file(target, "kept")
        write_file(target .. ".part", "precious")
        for _, resume in ipairs({ true, false }) do
          is_error(type_name, files:download(path, target,
            { resume = resume }))
        end
        assert.are.equal("kept", read_file(target))
        assert.are.equal("precious", read_file(target .. ".part"))
        shell("rm " .. dir .. "/kept*")
      end)
    end

    local BIG = 40000000

    local function first_piece(of)
      assert(of.commands:run(("head -c %d /dev/zero > big"):format(BIG),
        { check = true }))
      local stream = assert(of.files:download_stream("big"))
      local piece = assert(stream:read())
      return stream, #piece
    end

    local function rest(stream, size)
      for piece in function() return stream:read() end do
        size = size + #piece
      end
      return size, stream.failure
    end

    it("or were when their capsule died, are an error", function()
      local mortal = assert(Capsule.create(s:options({ wait = true })))
      local stream, size = first_piece(mortal)
      assert(mortal:destroy({ wait = true }))
      local err
      size, err = rest(stream, size)
      assert.is_true(size < BIG)
      is_error("CapsuleStateError", nil, err)
      assert.are.equal("broken", err.details.kind)
      assert.are.equal("stopped", err.status)
      assert.is_true(err.cause:is("ConnectionError"))
    end)

    it("or become one, are told apart from those that grow", function()
      local stream, size = first_piece(capsule)
      assert(capsule.commands:run("printf x >> big", { check = true }))
      local all, err = rest(stream, size)
      assert.is_nil(err)
      assert.is_true(all >= BIG)
      stream, size = first_piece(capsule)
      assert(capsule.commands:run(": > big", { check = true }))
      all, err = rest(stream, size)
      if all < BIG then -- the server has read no further
        is_error("ConflictError", nil, err)
        assert.is_true(err.retryable)
      end
    end)

    it("are told from those that are some", function()
      for path, bytes in pairs({ ["k/empty"] = "", ["k/f"] = "x",
        ["k/to-f"] = "x" })
      do
        assert.are.equal(bytes, files:read(path))
        assert(files:download(path, dir .. "/some"))
        assert.are.equal(bytes, read_file(dir .. "/some"))
      end
      for _, path in ipairs({ "/proc/version", "/proc/self/status" }) do
        assert.is_true(#assert(files:read(path)) > 0)
        local size = 0
        for piece in assert(files:download_stream(path)) do
          size = size + #piece
        end
        assert.is_true(size > 0, path)
      end
      os.remove(dir .. "/some")
    end)
  end)
end)
