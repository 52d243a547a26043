-- wrenn-local's files in every generation, on the wire.

local generations = require("spec.support.generations")
local walls = require("spec.support.walls")
local wire = require("spec.support.wire")

local MIB = 1024 * 1024

generations.each(function(g)
  describe("a file of wrenn-local " .. g.name, function()
    local s, w, path

    setup(function()
      s = generations.start(g)
      w = wire.new(s)
      path = w:create()
    end)

    teardown(function()
      w:close()
      s:stop()
    end)

    before_each(function()
      w:sh(path, "rm -rf /tmp/* ~/*")
    end)

    local function files(call, body, options)
      return w:request("POST", path .. "/files/" .. call, body, options)
    end

    local function write(name, content, call)
      local answer = files(call or "write",
        wire.form({ "path", name }, { "file", content }))
      assert.are.same({ 204, "" }, { answer.status, answer.body })
    end

    local function read(name)
      local answer = files("read", { path = name })
      assert.are.equal(200, answer.status, answer.body)
      assert.are.equal("application/octet-stream",
        wire.header(answer, "Content-Type"))
      return answer.body
    end

    local function list(name, depth)
      local answer = files("list", { path = name, depth = depth })
      assert.are.equal(200, answer.status, answer.body)
      local by_path = {}
      for _, entry in ipairs(answer.json.entries) do
        by_path[entry.path] = entry
      end
      return answer.json.entries, by_path
    end

    local function assert_error(answer, status, code, text)
      assert.are.same({ status, code }, { answer.status, answer.error.code })
      assert.is_truthy(answer.error.message:find(text or "", 1, true),
        answer.error.message)
    end

    local INTERNAL = { g.pick(502, 500),
      g.pick("agent_error", "internal_error") }

    it("is read as it was written", function()
      for _, call in ipairs({ "write", "stream/write" }) do
        write("/tmp/deep/nested/dir/f", "hello world", call)
        assert.are.equal("hello world", read("/tmp/deep/nested/dir/f"))
        write("/tmp/deep/nested/dir/f", "\0\1\2\255\r\n--b", call)
        assert.are.equal("\0\1\2\255\r\n--b", read("/tmp/deep/nested/dir/f"))
        write("/tmp/deep/nested/dir/f", "", call)
        local answer = files("read", { path = "/tmp/deep/nested/dir/f" })
        assert.are.same({ 200, "" }, { answer.status, answer.body })
      end
    end)

    it("keeps its mode, and is made with one", function()
      write("/tmp/new", "x")
      assert.are.equal("644\n", w:sh(path, "stat -c %a /tmp/new").stdout)
      w:sh(path, "chmod 750 /tmp/new; ln -s /tmp/new /tmp/link")
      write("/tmp/link", "y")
      assert.are.equal("750\ny",
        w:sh(path, "stat -c %a /tmp/new; cat /tmp/new").stdout)
    end)

    it("may come before its path, but not in a stream", function()
      local answer = files("write",
        wire.form({ "file", "first" }, { "other", "x" }, { "path", "/tmp/f" }))
      assert.are.equal(204, answer.status)
      assert.are.equal("first", read("/tmp/f"))
      answer = files("write?path=%2Ftmp%2Fquery",
        wire.form({ "file", "by query" }))
      assert.are.equal(204, answer.status)
      assert.are.equal("by query", read("/tmp/query"))
      answer = files("stream/write",
        wire.form({ "file", "first" }, { "path", "/tmp/g" }))
      assert.are.equal(204, answer.status)
      assert.are.equal("", read("/tmp/g"))
    end)

    it("may be 100 MiB at the most, unless it is streamed", function()
      local body, options = wire.form({ "path", "/tmp/big" },
        { "file", ("x"):rep(101 * MIB) })
      assert_error(files("write", body, options), 413,
        g.pick("too_large", "payload_too_large"),
        g.pick("file exceeds 100 MB limit", "File exceeds the 100 MB limit."))
      assert.are.equal(INTERNAL[1],
        files("read", { path = "/tmp/big" }).status)
    end)

    if g.labels then
      it("may be of any size when it is streamed", function()
        write("/tmp/big", ("0123456789abcdef"):rep(150 * MIB / 16),
          "stream/write")
        assert.are.equal(("%d\n"):format(150 * MIB),
          w:sh(path, "stat -c %s /tmp/big").stdout)
        assert.are.equal("0\n", w:sh(path,
          "tr -d 0123456789abcdef < /tmp/big | wc -c").stdout)
        w:sh(path, "rm /tmp/big")
      end)
    end

    it("of 256 MiB and more is for streams, from 0.3 on", function()
      w:sh(path, "cd; truncate -s 257M big")
      local op = w.loop:http({ method = "POST", stream = true,
        url = s.url .. path .. "/files/read", body = '{"path":"big"}',
        headers = { "X-API-Key: " .. s.key } })
      local event
      repeat
        event = { w.loop:next() }
        assert(event[1] or w.loop:wait(5))
      until event[2] == "headers" or event[2] == "done"
      assert.are.equal(g.pick(200, 500), event[3])
      op:cancel()
    end)

    it("that is missing is no failure of its own", function()
      write("/tmp/file", "")
      for _, name in ipairs({ "/tmp/none", "/tmp/none/none",
        "/tmp/file/none" }) do
        for _, call in ipairs({ "read", "remove" }) do
          local answer = files(call, { path = name })
          assert_error(answer, INTERNAL[1], INTERNAL[2])
          assert.are.equal("application/json",
            wire.header(answer, "Content-Type"))
        end
      end
      assert_error(files("read", { path = "/tmp/none" }), INTERNAL[1],
        INTERNAL[2], g.pick("path '/tmp/none' does not exist"))
      assert_error(files("remove", { path = "/tmp/none" }), INTERNAL[1],
        INTERNAL[2], g.pick("internal: error removing: No such file"))
      assert_error(files("list", { path = "/tmp/none" }), g.pick(502, 404),
        g.pick("agent_error", "not_found"), "path not found")
      assert_error(files("list", { path = "/tmp/file/none" }), INTERNAL[1],
        INTERNAL[2], g.pick("error resolving path: Not a directory"))
    end)

    it("that cannot be streamed is an empty one", function()
      w:sh(path, "mkfifo /tmp/fifo; ln -s gone /tmp/broken; mkdir /tmp/d")
      for _, name in ipairs({ "/tmp/none", "/tmp/fifo", "/tmp/broken",
        "/tmp/d", "~bob/x" }) do
        local answer = files("stream/read", { path = name })
        assert.are.same({ 200, "", "application/octet-stream", "0" },
          { answer.status, answer.body, wire.header(answer, "Content-Type"),
            wire.header(answer, "Content-Length") })
      end
    end)

    it("that is streamed ends in good order with its capsule", function()
      local other, id = w:create()
      local reader = wire.new(s)
      w:sh(other, "truncate -s 2G /tmp/big")
      local op = reader.loop:http({ method = "POST", stream = true,
        url = s.url .. other .. "/files/stream/read",
        headers = { "X-API-Key: " .. s.key }, body = '{"path":"/tmp/big"}' })
      local size, event = 0, nil
      local function until_kind(kind)
        repeat
          event = { reader.loop:next() }
          assert(event[1] or reader.loop:wait(5))
          size = size + (event[2] == "chunk" and #event[3] or 0)
        until event[2] == kind or event[2] == "failed"
      end
      until_kind("headers")
      w:request("DELETE", other)
      w:until_status(id, "stopped")
      until_kind("done")
      assert.are.equal("done", event[2], event[4])
      assert.is_true(size < 2048 * MIB)
      op:cancel()
      reader:close()
    end)

    it("cannot be where something else is", function()
      write("/tmp/file", "")
      for _, name in ipairs({ "/tmp", "/tmp/file/below", "/proc/none/x" }) do
        for _, call in ipairs({ "write", "stream/write" }) do
          local answer = files(call,
            wire.form({ "path", name }, { "file", "x" }))
          assert_error(answer, INTERNAL[1], INTERNAL[2])
        end
      end
      assert_error(files("mkdir", { path = "/tmp/file/below" }), INTERNAL[1],
        INTERNAL[2])
      assert_error(files("mkdir", { path = "/tmp/file" }), 400,
        "invalid_request", "path exists but is not a directory: /tmp/file")
      assert_error(files("list", { path = "/tmp/file" }), g.pick(502, 400),
        g.pick("agent_error", "invalid_request"), "path is not a directory")
    end)

    it("is listed", function()
      write("/tmp/d/a.txt", "abc")
      write("/tmp/d/sub/b.txt", "")
      local shallow, by_path = list("/tmp/d")
      assert.are.equal(2, #shallow)
      local a = by_path["/tmp/d/a.txt"]
      local owner = walls.up and g.user
        or w:sh(path, "id -un").stdout:match("%S+")
      local group = walls.up and g.user
        or w:sh(path, "id -gn").stdout:match("%S+")
      assert.are.same({ "a.txt", "file", 3, 420, "-rw-r--r--", owner,
        group }, { a.name, a.type, a.size, a.mode, a.permissions, a.owner,
        a.group })
      assert.is_true(math.abs(a.modified_at - os.time()) < 600)
      assert.is_nil(a.symlink_target)
      local sub = by_path["/tmp/d/sub"]
      assert.are.same({ "directory", 493, "drwxr-xr-x" },
        { sub.type, sub.mode, sub.permissions })
      for depth, count in pairs({ [0] = 2, [1] = 2, [2] = 3, [9] = 3 }) do
        assert.are.equal(count, #list("/tmp/d", depth))
      end
      local deep = list("/tmp/d", 2)
      local seen = {}
      for _, entry in ipairs(deep) do -- parents come before their children
        local parent = entry.path:match("^(.*)/")
        assert.is_true(parent == "/tmp/d" or seen[parent])
        seen[entry.path] = true
      end
      w:sh(path, "mkdir /tmp/empty")
      assert.are.equal('{"entries":[]}\n',
        files("list", { path = "/tmp/empty" }).body)
    end)

    it("is listed as a link", function()
      w:sh(path, "mkdir -p /tmp/real/in; echo x > /tmp/real/f;"
        .. " ln -s real /tmp/link; ln -s gone /tmp/broken;"
        .. " ln -s real/f /tmp/to-file; mkfifo /tmp/fifo")
      local _, by_path = list("/tmp", 2)
      local link = by_path["/tmp/link"]
      assert.are.same({ "directory", "Lrwxrwxrwx", "/tmp/real" },
        { link.type, link.permissions, link.symlink_target })
      assert.is_nil(by_path["/tmp/link/f"])
      local file = by_path["/tmp/to-file"]
      assert.are.same({ "file", 420, #"real/f" },
        { file.type, file.mode, file.size })
      local broken = by_path["/tmp/broken"]
      assert.are.same({ "unknown", 0, "/tmp/broken" },
        { broken.type, broken.mode, broken.symlink_target })
      local fifo = by_path["/tmp/fifo"]
      assert.are.same({ "unknown", "p" },
        { fifo.type, fifo.permissions:sub(1, 1) })
      _, by_path = list("/tmp/link")
      assert.is_truthy(by_path["/tmp/link/f"])
      assert.is_truthy(by_path["/tmp/link/in"])
    end)

    it("lies in directories that are made", function()
      local answer = files("mkdir", { path = "/tmp/a/b/c" })
      assert.are.equal(200, answer.status)
      local entry = answer.json.entry
      assert.are.same({ "c", "/tmp/a/b/c", "directory", "drwxr-xr-x" },
        { entry.name, entry.path, entry.type, entry.permissions })
      answer = files("mkdir", { path = "/tmp/a/b/c" })
      assert_error(answer, 409, "conflict",
        g.pick("already_exists: ", "")
          .. "directory already exists: /tmp/a/b/c")
    end)

    it("is removed", function()
      w:sh(path, "mkdir -p /tmp/d/e; echo > /tmp/d/e/f; echo > /tmp/f;"
        .. " mkdir /tmp/kept; echo x > /tmp/kept/f; ln -s kept /tmp/link")
      for _, name in ipairs({ "/tmp/d", "/tmp/f", "/tmp/link" }) do
        local answer = files("remove", { path = name })
        assert.are.same({ 204, "" }, { answer.status, answer.body })
      end
      assert.are.equal("kept\nx\n",
        w:sh(path, "ls /tmp; cat /tmp/kept/f").stdout)
    end)

    it("may be named relative to home", function()
      for _, name in ipairs({ "~/x", "x", "./x", g.home .. "/x" }) do
        w:sh(path, "rm -f ~/x")
        write(name, name)
        assert.are.equal(name, w:sh(path, "cat ~/x").stdout)
        assert.are.equal(name, read(name))
      end
      local _, by_path = list("~")
      assert.is_truthy(by_path[g.home .. "/x"])
      for call, status in pairs({ read = INTERNAL[1], remove = INTERNAL[1],
        list = g.pick(502, 400), mkdir = 400 }) do
        local answer = files(call, { path = "~bob/x" })
        assert.are.equal(status, answer.status)
        assert.is_truthy(status == 500 or answer.error.message:find(
          "cannot expand user-specific home dir", 1, true))
      end
      local answer = files("write",
        wire.form({ "path", "~bob/x" }, { "file", "" }))
      assert.are.equal(INTERNAL[1], answer.status)
    end)

    -- A relative path has its links followed before it is used, its last name
    -- included; others have not.
    it("named relative is what its links lead to", function()
      local function make()
        w:sh(path, "cd; rm -rf *; mkdir real; echo m > real/m; echo x > f;"
          .. " ln -s real dl; ln -s f lnk; ln -s ../f real/in")
      end
      for name, left in pairs({ lnk = "dl lnk real", ["dl/in"] = "dl lnk real",
        dl = "dl f lnk", ["~/lnk"] = "dl f real",
        [g.home .. "/lnk"] = "dl f real", ["~/dl"] = "f lnk real",
        [g.home .. "/dl"] = "f lnk real" }) do
        make()
        assert.are.equal(204, files("remove", { path = name }).status)
        local shown = w:sh(path, "cd; echo *").stdout
        assert.are.equal(left .. "\n", shown)
      end
      make()
      local _, by_path = list("dl")
      assert.is_truthy(by_path[g.home .. "/real/m"])
      _, by_path = list("~/dl")
      assert.is_truthy(by_path[g.home .. "/dl/m"])
      local made = files("mkdir", { path = "dl/new" }).json.entry
      assert.are.equal(g.home .. "/dl/new", made.path)
      write("lnk", "through")
      assert.are.equal("through", read("f"))
    end)

    it("with a name that is no UTF-8 does not show", function()
      w:sh(path, "mkdir /tmp/d; touch /tmp/d/good"
        .. " \"$(printf '/tmp/d/b\\377')\"")
      if g.waits then
        assert_error(files("list", { path = "/tmp/d" }), 502, "agent_error",
          "contains invalid UTF-8")
      else
        assert.are.equal(1, #list("/tmp/d"))
      end
    end)

    it("whose upload is cut off is half there, or not at all", function()
      local body, options = wire.form({ "path", "/tmp/z" }, { "file", "half" })
      local answer = files("stream/write", body:sub(1, #body - 16), options)
      assert_error(answer, 500, g.pick("read_error", "internal_error"),
        g.pick("failed to read uploaded file",
          "Failed to read the uploaded file."))
      answer = files("read", { path = "/tmp/z" })
      assert.are.equal(g.waits and 502 or 200, answer.status)
      assert.are.equal(g.waits and answer.body or "half", answer.body)
    end)

    if g.waits then
      it("of 2 MiB is too large for one part", function()
        for _, call in ipairs({ "write", "stream/write" }) do
          assert_error(files(call, wire.form({ "path", "/tmp/big" },
            { "file", ("x"):rep(2 * MIB) })), 502, "agent_error", "broken pipe")
          assert.are.equal(502, files("read", { path = "/tmp/big" }).status)
          write("/tmp/big", ("x"):rep(2 * MIB - 238), call)
          files("remove", { path = "/tmp/big" })
        end
      end)
    end

    it("takes depths that are 32 bits without a sign", function()
      for depth, status in pairs({ [-1] = 400, [4294967295] = 200,
        [4294967296] = 400 }) do
        assert.are.equal(status, files("list", ('{"path":"/tmp","depth":%.0f}')
          :format(depth)).status)
      end
    end)

    it("is the same for commands, whatever its name", function()
      local name = "/tmp/\195\164 b.txt"
      write(name, "from files")
      assert.are.equal("from files", w:sh(path, "cat '" .. name .. "'").stdout)
      w:sh(path, "printf 'from sh' > '" .. name .. "'")
      assert.are.equal("from sh", read(name))
      local _, by_path = list("/tmp")
      assert.is_truthy(by_path[name])
    end)

    it("streams as it is read, with chunks and without its size", function()
      write("/tmp/f", ("x"):rep(300000))
      local answer = files("stream/read", { path = "/tmp/f" })
      assert.are.same({ 200, 300000, "chunked" }, { answer.status,
        #answer.body, wire.header(answer, "Transfer-Encoding") })
      answer = files("read", { path = "/tmp/f" })
      assert.are.equal("300000", wire.header(answer, "Content-Length"))
    end)
  end)
end)
