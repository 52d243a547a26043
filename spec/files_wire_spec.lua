-- File calls on the wire: the boundary of the form, and how long they wait for a
-- silent server.

local multipart = require("wrenn.wire.multipart")
local peer = require("spec.support.peer")
local scheduler = require("wrenn.task.scheduler")
local server = require("wrenn.server")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

describe("the form of an upload", function()
  it("has another boundary each time, that cannot be guessed", function()
    local seen = {}
    for _ = 1, 50 do
      local head, tail, content_type = multipart.frame("/x")
      local boundary = content_type:match("boundary=(%x+)$")
      assert.is_true(#boundary >= 32)
      assert.is_nil(seen[boundary])
      seen[boundary] = true
      assert.are.equal(1, head:find("--" .. boundary .. "\r\n", 1, true))
      assert.are.equal("\r\n--" .. boundary .. "--\r\n", tail)
    end
  end)

  it("holds a file with an earlier form in it", function()
    local p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' },
      { 204 })
    finally(function() p:stop() end)
    local files = assert(Capsule.connect("cl-1", p:options())).files
    for _, call in ipairs({ "write", "upload_stream" }) do
      assert(files[call](files, "/x", "data"))
      local received = p:received()
      local form = received[#received]:match("\r\n\r\n(.*)$")
      assert(files[call](files, "/y", form))
      received = p:received()
      local boundary = received[#received]:match("boundary=(%x+)")
      assert.is_nil(form:find(boundary, 1, true))
      assert.is_truthy(received[#received]:find("\r\n\r\n" .. form .. "\r\n--"
        .. boundary .. "--", 1, true))
    end
  end)
end)

-- The limit of silence is the client's timeout; the one around each call lies
-- far above it.
describe("a server that falls silent", function()
  local LIMIT, AROUND = 1, 60
  local p

  after_each(function()
    p:stop()
  end)

  -- `silence` is when: before a stream or answer begins, or in its middle.
  local function files_of(silence)
    p = peer.start(([[
      while true do
        local req = c:request()
        if not req then return end
        if not req.path:find("/files/") then
          c:respond(200, '{"id":"cl-1","status":"running"}')
        elseif req.path:find("list") and %q == "stream" then
          c:respond(200, '{"entries":[{"name":"x","path":"/x",'
            .. '"type":"file","size":9}]}')
        elseif %q ~= "head" then
          c:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            .. "3\r\nabc\r\n")
        end
      end
    ]]):format(silence, silence))
    local client = assert(wrenn.Client(p:options({ retries = 0 })))
    local files = assert(Capsule.connect("cl-1", { client = client })).files
    assert(server.traits(client))
    -- What has to be answered before has more time.
    local limit = silence == "stream" and 2 * LIMIT or LIMIT
    client.settings.timeout = limit
    return files, limit
  end

  local function read_all(files)
    local stream, err = files:download_stream("/x")
    while stream do
      local piece
      piece, err = stream:read()
      if not piece then
        break
      end
    end
    return nil, err
  end

  -- Asserts that a call is given up after a limit of its own.
  local function is_given_up(call, files, limit)
    local begin = scheduler.now()
    local result, err = wrenn.task.with_timeout(AROUND, function()
      return call(files)
    end)
    local elapsed = scheduler.now() - begin
    assert.is_nil(result)
    assert.are.equal("TimeoutError", err.type)
    assert.is_true(elapsed > limit * 0.8 and elapsed < AROUND / 2,
      "after " .. elapsed .. " s")
  end

  local calls = {
    read = function(files) return files:read("/x") end,
    write = function(files) return files:write("/x", "data") end,
    list = function(files) return files:list("/") end,
    upload_stream = function(files)
      return files:upload_stream("/x", { "da", "ta" })
    end,
    download_stream = read_all,
    download = function(files)
      return files:download("/x", os.tmpname())
    end,
  }
  for name, call in pairs(calls) do
    for _, silence in ipairs({ "head", "body", "stream" }) do
      it(("is given up: %s, %s"):format(name, silence), function()
        local files, limit = files_of(silence)
        if name == "list" and silence == "stream" then
          files.client.settings.timeout = AROUND
          return assert.are.equal(1, #assert(call(files)))
        end
        is_given_up(call, files, limit)
      end)
    end
  end

  -- More than the systems of both sides keep.
  local MUCH = ("x"):rep(16 * 1024 * 1024)

  for name, call in pairs({
    write = function(files) return files:write("/x", MUCH) end,
    upload_stream = function(files)
      return files:upload_stream("/x", { MUCH, "y" })
    end,
  }) do
    it("is given up when it takes no more: " .. name, function()
      p = peer.start([[
        c.sock:recv_buffer_size(65536)
        while true do
          local head = c:read_to("\r\n\r\n")
          if not head then return end
          if head:find("^POST") then
            return c.sock:read_stop()
          end
          c:respond(200,
            '{"id":"cl-1","status":"running","version":"0.4.0"}')
        end
      ]])
      local files = p:capsule().files
      assert(server.traits(files.client))
      files.client.settings.timeout = LIMIT
      is_given_up(call, files, LIMIT)
    end)
  end
end)
