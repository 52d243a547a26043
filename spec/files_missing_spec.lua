-- Files that are missing, empty or incomplete, where the server does not report
-- it.

local expect = require("spec.support.expect")
local peer = require("spec.support.peer")

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

  local function list(fields)
    return { 200, ('{"entries":[%s]}'):format(fields or "") }
  end
  local x = '{"name":"x","path":"/tmp/x","type":"file","size":%d%s}'

  it("an empty answer is a missing file, or an empty one", function()
    local files = files_of({ 200, "" }, list())
    is_error("NotFoundError", files:read("/tmp/x"))
    p:stop()
    files = files_of({ 200, "" }, list(x:format(0, "")))
    assert.are.equal("", files:read("/tmp/x"))
    p:stop()
    files = files_of({ 200, "" }, { 503, "" })
    is_error("HostUnavailableError", files:read("/tmp/x"))
  end)

  -- Answers the stream without a length, as real servers do.
  local function chunked(body, entries)
    p = peer.serving(([[
      if req.path:find("stream/read") then
        c:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        local body = %q
        if body ~= "" then
          c:send(("%%x\r\n%%s\r\n"):format(#body, body))
        end
        c:send("0\r\n\r\n")
      elseif req.path:find("files/list") then
        c:respond(200, %q)
      end
    ]]):format(body, entries))
    return p:capsule().files
  end

  it("a download that ends early is not a whole file", function()
    local files = chunked("abc", list(x:format(9, ""))[2])
    local download = assert(files:download_stream("/tmp/x"))
    assert.are.equal("abc", download:read())
    local err = is_error("ConnectionError", download:read())
    assert.is_truthy(err.message:find("3 of 9 bytes", 1, true))
    is_error("ConnectionError", files:download("/tmp/x", os.tmpname()))
  end)

  it("a download may hold more than was listed before", function()
    local files = chunked("abc", list(x:format(2, ""))[2])
    local download = assert(files:download_stream("/tmp/x"))
    assert.are.equal("abc", download:read())
    assert.are.same({}, { download:read() })
  end)

  it("a link's own size does not count for a download", function()
    local files = chunked("abc", list(
      x:format(99, ',"symlink_target":"/tmp/y"')
      .. ',{"name":"y","path":"/tmp/y","type":"file","size":3}')[2])
    local download = assert(files:download_stream("/tmp/x"))
    assert.are.equal("abc", download:read())
    assert.are.same({}, { download:read() })
  end)

  it("a missing file is not an empty download", function()
    local files = chunked("", list()[2])
    is_error("NotFoundError", files:download_stream("/tmp/x"))
    local name = os.tmpname()
    os.remove(name)
    is_error("NotFoundError", files:download("/tmp/x", name))
    assert.is_nil((io.open(name)))
  end)

  it("an older server's words for a missing directory are understood",
    function()
      local files = files_of({ 502, '{"error":{"code":"agent_error",'
        .. '"message":"not_found: path not found"}}' })
      assert.is_false(files:exists("/none/x"))
      is_error("NotFoundError", files:stat("/none/x"))
    end)

  it("of a capsule that is not there are an error, not absent", function()
    for _, body in ipairs({
      '{"error":{"code":"not_found","message":"sandbox not found"}}',
      '{"error":{"code":"sandbox_not_found","message":"Gone."}}',
    }) do
      local files = files_of({ 404, body })
      is_error("NotFoundError", files:exists("/tmp/x"))
      p:stop()
    end
    p = peer.answering(peer.RUNNING)
  end)

  it("an answer that says nothing about existence is an error", function()
    local files = files_of({ 500, '{"error":{"code":"internal_error",'
      .. '"message":"boom"}}' })
    is_error("InternalError", files:exists("/tmp/x"))
    is_error("InternalError", files:stat("/tmp/x"))
  end)
end)
