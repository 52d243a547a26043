-- wrenn-local's files in every generation, on the wire: behaviour cases 171,
-- 172, 174-177, 180-184, 186-189, 192-196, 199, 200, 204-208, 211, 212.

local generations = require("spec.support.generations")
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
      w:sh(path, "rm -rf /tmp/* /root/*")
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

    it("is read as it was written (171, 172, 174, 175, 176)", function()
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

    it("keeps its mode, and is made with one (174)", function()
      write("/tmp/new", "x")
      assert.are.equal("644\n", w:sh(path, "stat -c %a /tmp/new").stdout)
      w:sh(path, "chmod 750 /tmp/new; ln -s /tmp/new /tmp/link")
      write("/tmp/link", "y")
      assert.are.equal("750\ny",
        w:sh(path, "stat -c %a /tmp/new; cat /tmp/new").stdout)
    end)

    it("may come before its path, but not in a stream (177)", function()
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
      assert_error(answer, 400,
        g.pick("invalid_request", "validation_failed"), "file field")
      assert.are.equal(404, files("read", { path = "/tmp/g" }).status)
    end)

    it("may be 100 MiB at the most, unless it is streamed (180)", function()
      local body, options = wire.form({ "path", "/tmp/big" },
        { "file", ("x"):rep(101 * MIB) })
      assert_error(files("write", body, options), 413,
        g.pick("too_large", "payload_too_large"),
        g.pick("file exceeds 100 MB limit", "File exceeds the 100 MB limit."))
      assert.are.equal(404, files("read", { path = "/tmp/big" }).status)
    end)

    if g.labels then
      it("may be of any size when it is streamed (181)", function()
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
      w:sh(path, "truncate -s 257M /tmp/big")
      local op = w.loop:http({ method = "POST", stream = true,
        url = s.url .. path .. "/files/read", body = '{"path":"/tmp/big"}',
        headers = { "X-API-Key: " .. s.key } })
      local event
      repeat
        event = { w.loop:next() }
        assert(event[1] or w.loop:wait(5))
      until event[2] == "headers" or event[2] == "done"
      assert.are.equal(g.pick(200, 500), event[3])
      op:cancel()
    end)

    it("that is missing is not found (184, 186, 192, 205)", function()
      write("/tmp/file", "")
      for _, name in ipairs({ "/tmp/none", "/tmp/none/none",
        "/tmp/file/none" }) do
        for _, call in ipairs({ "read", "stream/read", "list", "remove" }) do
          local answer = files(call, { path = name })
          assert_error(answer, 404, "not_found")
          assert.are.equal("application/json",
            wire.header(answer, "Content-Type"))
        end
      end
      assert_error(files("read", { path = "/tmp/none" }), 404, "not_found",
        "path '/tmp/none' does not exist")
      assert_error(files("remove", { path = "/tmp/none" }), 404, "not_found",
        "error removing")
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
      assert_error(files("list", { path = "/tmp/file" }), 400,
        "invalid_request", "path is not a directory")
    end)

    it("is listed (187, 188, 189, 193)", function()
      write("/tmp/d/a.txt", "abc")
      write("/tmp/d/sub/b.txt", "")
      local shallow, by_path = list("/tmp/d")
      assert.are.equal(2, #shallow)
      local a = by_path["/tmp/d/a.txt"]
      assert.are.same({ "a.txt", "file", 3, 420, "-rw-r--r--", "root", "root" },
        { a.name, a.type, a.size, a.mode, a.permissions, a.owner, a.group })
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

    it("is listed as a link (194, 195, 196)", function()
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
      assert.are.same({ "unknown", "/tmp/broken" },
        { broken.type, broken.symlink_target })
      local fifo = by_path["/tmp/fifo"]
      assert.are.same({ "unknown", "p" },
        { fifo.type, fifo.permissions:sub(1, 1) })
      _, by_path = list("/tmp/link")
      assert.is_truthy(by_path["/tmp/link/f"])
      assert.is_truthy(by_path["/tmp/link/in"])
    end)

    it("lies in directories that are made (199, 200)", function()
      local answer = files("mkdir", { path = "/tmp/a/b/c" })
      assert.are.equal(200, answer.status)
      local entry = answer.json.entry
      assert.are.same({ "c", "/tmp/a/b/c", "directory", "drwxr-xr-x" },
        { entry.name, entry.path, entry.type, entry.permissions })
      answer = files("mkdir", { path = "/tmp/a/b/c" })
      assert_error(answer, 409, "conflict",
        "already_exists: directory already exists: /tmp/a/b/c")
    end)

    it("is removed (204, 206)", function()
      w:sh(path, "mkdir -p /tmp/d/e; echo > /tmp/d/e/f; echo > /tmp/f;"
        .. " mkdir /tmp/kept; echo x > /tmp/kept/f; ln -s kept /tmp/link")
      for _, name in ipairs({ "/tmp/d", "/tmp/f", "/tmp/link" }) do
        local answer = files("remove", { path = name })
        assert.are.same({ 204, "" }, { answer.status, answer.body })
      end
      assert.are.equal("kept\nx\n",
        w:sh(path, "ls /tmp; cat /tmp/kept/f").stdout)
    end)

    it("may be named relative to home (207, 208)", function()
      for _, name in ipairs({ "~/x", "x", "./x", "/root/x" }) do
        w:sh(path, "rm -f /root/x")
        write(name, name)
        assert.are.equal(name, w:sh(path, "cat /root/x").stdout)
        assert.are.equal(name, read(name))
      end
      local _, by_path = list("~")
      assert.is_truthy(by_path["/root/x"])
      for _, call in ipairs({ "read", "stream/read", "list", "mkdir",
        "remove" }) do
        assert_error(files(call, { path = "~bob/x" }), 400, "invalid_request",
          "cannot expand user-specific home dir")
      end
      local answer = files("write",
        wire.form({ "path", "~bob/x" }, { "file", "" }))
      assert.are.equal(400, answer.status)
    end)

    it("is the same for commands, whatever its name (211, 212)", function()
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
