-- wrenn-local's errors, keys and other transport, in every generation, on the
-- wire.

local generations = require("spec.support.generations")
local wire = require("spec.support.wire")

local NO_CAPSULE = "/v1/capsules/cl-0000000000000000000000000"

generations.each(function(g)
  describe("wrenn-local " .. g.name, function()
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

    -- An error answer: its status, code and message, and the shape that the
    -- generation gives it.
    local function assert_error(answer, status, code, message, details)
      assert.are.equal("application/json", wire.header(answer, "Content-Type"))
      assert.are.same({ status, code, message },
        { answer.status, answer.error.code, answer.error.message })
      local expected = { code = true, message = true }
      if g.typed then
        expected.request_id, expected.retryable = true, true
        expected.details = details and true or nil
        assert.is_truthy(answer.error.request_id:match(
          "^req_" .. ("%x"):rep(16) .. "$"))
        assert.are.equal(wire.header(answer, "X-Request-ID"),
          answer.error.request_id)
        assert.are.equal(status == 504, answer.error.retryable)
        assert.are.same(details, answer.error.details)
      end
      for name in pairs(answer.error) do
        assert.is_true(expected[name], "unexpected " .. name)
        expected[name] = nil
      end
      assert.is_nil(next(expected))
    end

    it("refuses a missing or wrong key", function()
      assert_error(w:request("GET", "/v1/capsules", nil, { key = false }), 401,
        g.pick("unauthorized", "auth_session_required"),
        g.pick("X-API-Key or Authorization: Bearer <token> required",
          "A valid session or API key is required."))
      assert_error(w:request("GET", path, nil, { key = "wrn_wrong" }), 401,
        g.pick("unauthorized", "auth_invalid_api_key"),
        g.pick("invalid API key", "Invalid API key."))
    end)

    it("looks at the key before the id", function()
      assert.are.equal(401,
        w:request("GET", "/v1/capsules/x", nil, { key = "no" }).status)
    end)

    it("keeps what is for people from keys", function()
      for _, place in ipairs({ "/v1/teams", "/v1/hosts", "/v1/me",
        "/v1/api-keys/1", "/v1/admin/x" }) do
        local answer = w:request("GET", place)
        assert.are.equal(401, answer.status)
        assert.are.equal(g.pick("unauthorized", "auth_session_required"),
          answer.error.code)
      end
    end)

    it("tells its health to anybody", function()
      local answer = w:request("GET", "/health", nil, { key = false })
      assert.are.same({ 200, { status = "ok", version = g.version } },
        { answer.status, answer.json })
    end)

    it("has a request id on every answer, or on none", function()
      local seen = {}
      for _, answer in ipairs({
        w:request("GET", "/health"), w:request("GET", path),
        w:request("POST", path .. "/ping"), w:request("GET", "/nowhere"),
        w:request("PUT", path), w:request("GET", NO_CAPSULE),
        w:request("POST", path .. "/files/stream/read",
          { path = "/etc/hostname" }),
        w:request("GET", path, nil, { key = "wrong" }),
      }) do
        local id = wire.header(answer, "X-Request-ID")
        assert.are.equal(g.typed or false, id ~= nil, answer.body)
        assert.is_nil(id and seen[id])
        seen[id or ""] = true
      end
    end)

    it("knows no other paths and methods", function()
      local answer = w:request("GET", "/v1/nowhere")
      assert.are.same({ 404, "404 page not found\n" },
        { answer.status, answer.body })
      assert.is_truthy(wire.header(answer, "Content-Type"):find("text/plain"))
      answer = w:request("PUT", path)
      assert.are.same({ 405, "" }, { answer.status, answer.body })
    end)

    it("refuses what is no id, and one that nobody has", function()
      local bad = g.pick("invalid sandbox ID", "Invalid sandbox ID.")
      for _, id in ipairs({ "abc", "cl-1", "sb-0000000000000000000000000",
        "cl-000000000000000000000000A" }) do
        assert_error(w:request("GET", "/v1/capsules/" .. id), 400,
          "invalid_request", bad)
      end
      for _, rest in ipairs({ "", "/processes" }) do
        assert_error(w:request("GET", NO_CAPSULE .. rest), 404,
          g.pick("not_found", "sandbox_not_found"),
          g.pick("sandbox not found", "Sandbox not found."))
      end
    end)

    it("refuses bodies that are no JSON", function()
      local bad = g.pick("invalid JSON body", "Invalid JSON body.")
      for _, where in ipairs({ "/v1/capsules", path .. "/exec",
        path .. "/files/read" }) do
        for _, body in ipairs({ "", "{", "[]", "hello" }) do
          assert_error(w:request("POST", where, body), 400, "invalid_request",
            bad)
        end
      end
      assert_error(w:request("POST", path .. "/exec", { cmd = 5 }), 400,
        "invalid_request", bad)
    end)

    it("wants the fields that it needs", function()
      local code = g.pick("invalid_request", "validation_failed")
      for _, body in ipairs({ "{}", '{"cmd":""}', '{"cmd":null}' }) do
        assert_error(w:request("POST", path .. "/exec", body), 400, code,
          g.pick("cmd is required", "The cmd field is required."),
          { field = "cmd" })
      end
      for _, call in ipairs({ "read", "stream/read", "list", "mkdir",
        "remove" }) do
        assert_error(w:request("POST", path .. "/files/" .. call, {}), 400,
          code, g.pick("path is required", "The path field is required."),
          { field = "path" })
      end
    end)

    it("wants a form, and its two parts", function()
      local code = g.pick("invalid_request", "validation_failed")
      assert_error(w:request("POST", path .. "/files/write", { path = "/x" }),
        400, "invalid_request", g.pick("expected multipart/form-data",
          "Expected multipart/form-data."))
      assert_error(w:request("POST", path .. "/files/stream/write", "x",
        { headers = { "Content-Type: multipart/form-data" } }), 400,
        "invalid_request", g.pick("expected multipart/form-data with boundary",
          "Expected multipart/form-data with a boundary."))
      for _, call in ipairs({ "write", "stream/write" }) do
        assert_error(w:request("POST", path .. "/files/" .. call,
          wire.form({ "file", "data" })), 400, code,
          g.pick("path field is required", "The path field is required."),
          { field = "path" })
        assert_error(w:request("POST", path .. "/files/" .. call,
          wire.form({ "path", "/tmp/x" })), 400, code,
          g.pick("file field is required", "The file field is required."),
          { field = "file" })
      end
    end)

    it("refuses templates that are none", function()
      local answer = w:request("POST", "/v1/capsules",
        { template = "no-such" })
      assert_error(answer, 404, g.pick("not_found", "template_not_found"),
        g.pick("resource not found", 'Template "no-such" not found.'))
      for _, name in ipairs({ "../x", ".x", ("x"):rep(65), "a b" }) do
        answer = w:request("POST", "/v1/capsules", { template = name })
        assert.are.equal(400, answer.status)
        assert.are.equal(g.pick("invalid_request", "validation_failed"),
          answer.error.code)
      end
    end)

    it("looks at a capsule's state before a body", function()
      local paused = w:create()
      w:request("POST", paused .. "/pause")
      w:until_status(paused:match("cl%-.*"), "paused")
      local code = g.pick("invalid_state", "sandbox_not_running")
      local details = { status = "paused" }
      assert_error(w:request("POST", paused .. "/ping"), 409, code,
        g.pick("resource is not running", "Sandbox is not running."), details)
      for _, call in ipairs({ "POST /exec", "GET /processes",
        "DELETE /processes/1" }) do
        local method, rest = call:match("(%S+) (%S+)")
        assert_error(w:request(method, paused .. rest,
          method == "POST" and "nonsense" or nil), 409, code,
          g.pick("sandbox is not running (status: paused)",
            "Sandbox is not running."), details)
      end
      for _, call in ipairs({ "read", "write", "stream/read", "stream/write",
        "list", "mkdir", "remove" }) do
        assert_error(w:request("POST", paused .. "/files/" .. call,
          "nonsense"), 409, code, g.pick("sandbox is not running",
            "Sandbox is not running."), details)
      end
    end)

    it("says what has timed out, and that one may try again", function()
      local answer = w:request("POST", path .. "/exec",
        { cmd = "/bin/sleep", args = { "20" }, timeout_sec = 1 })
      assert_error(answer, g.pick(502, 504), g.pick("agent_error", "timeout"),
        g.pick("internal: exec: stream error: deadline_exceeded: context"
          .. " deadline exceeded", "The operation timed out. Try again."))
    end)

    it("tells what went wrong inside, as far as it does", function()
      local generic = "Something went wrong on our end. Try again; if it keeps"
        .. " failing, contact support with the request ID."
      w:sh(path, "rm -rf /tmp/d; mkdir /tmp/d; mkfifo /tmp/d/fifo")
      for name, what in pairs({ ["/tmp/d"] = "is a directory",
        ["/tmp/d/fifo"] = "is not a regular file" }) do
        assert_error(w:request("POST", path .. "/files/read", { path = name }),
          g.pick(502, 500), g.pick("agent_error", "internal_error"),
          g.pick(('internal: read file: read file %s: status 400: {"code":400,'
            .. [["message":"path '%s' %s"}]]):format(name, name, what),
            generic))
      end
      local home = "cannot expand user-specific home dir"
      assert_error(w:request("POST", path .. "/files/list",
        { path = "~bob/x" }), g.pick(502, 400),
        g.pick("agent_error", "invalid_request"),
        g.pick("internal: list dir: list dir: invalid_argument: ", "") .. home)
      assert_error(w:request("POST", path .. "/exec",
        { cmd = "x", background = true, cwd = "/no/such" }),
        g.pick(502, 500), g.pick("agent_error", "internal_error"),
        g.pick("internal: start background: start background process stream:"
          .. " invalid_argument: cwd '/no/such' does not exist", generic))
    end)

    it("refuses bodies that are too large", function()
      assert_error(w:request("POST", path .. "/exec",
        '"' .. ("x"):rep(64 * 1024 * 1024) .. '"'), 413,
        g.pick("too_large", "payload_too_large"),
        g.pick("request body too large", "Request body too large."))
    end)

    -- ---- WebSockets --------------------------------------------------------

    local sockets = { "/exec/stream", "/processes/1/stream", "/pty" }

    if g.waits then
      it("opens WebSockets to strangers, and tells them", function()
        for i, rest in ipairs(sockets) do
          local socket = assert(w:open(path .. rest,
            { key = i ~= 1 and "wrong" }))
          socket:send({ type = "auth", token = "t" })
          local frames, how = socket:drain()
          assert.are.same({ { { type = "error", data = "authentication failed",
            fatal = rest == "/pty" or nil } }, 1006 }, { frames, how })
        end
      end)

      it("waits for a stranger to say something", function()
        local socket = assert(w:open(path .. "/pty", { key = "wrong" }))
        assert.are.same({ nil, "silent" }, { socket:read(2) })
        assert.are.equal("authentication failed", socket:read(20).data)
        assert.are.same({ {}, 1006 }, { socket:drain() })
      end)

      it("looks at the id before that", function()
        local socket, answer = w:open("/v1/capsules/abc/pty", { key = "no" })
        assert.is_nil(socket)
        assert_error(answer, 400, "invalid_request", "invalid sandbox ID")
      end)
    else
      it("refuses WebSockets with a wrong key", function()
        for _, rest in ipairs(sockets) do
          for _, place in ipairs({ path, "/v1/capsules/abc" }) do
            local socket, answer = w:open(place .. rest, { key = "wrong" })
            assert.is_nil(socket)
            assert_error(answer, 401,
              g.pick("unauthorized", "auth_invalid_api_key"),
              g.pick("invalid API key", "Invalid API key."))
          end
        end
      end)
    end
  end)
end)
