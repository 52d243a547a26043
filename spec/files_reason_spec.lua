-- The reasons of failed file calls, in every generation: from 0.3 on the server
-- does not report them.

local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local is_error = expect.error

local LONG = ("n"):rep(256)

-- {call, path, type}
local cases = {
  { "read", "R/none", "NotFoundError" },
  { "read", "R/f/x", "NotFoundError" },
  { "read", "R/d", "ValidationError" },
  { "read", "R/p", "ValidationError" },
  { "read", "R/" .. LONG, "WrennError" },
  { "remove", "R/none", "NotFoundError" },
  { "remove", "R/none/x", "NotFoundError" },
  { "remove", "R/f/x", "NotFoundError" },
  { "remove", "R/" .. LONG, "WrennError" },
  { "write", "R/d", "ValidationError" },
  { "write", "R/f/x", "ValidationError" },
  { "write", "R/f/x/y/z", "ValidationError" },
  { "write", "R/" .. LONG, "ValidationError" },
  { "write", "R/broken/x", "WrennError" },
  { "upload_stream", "R/d", "ValidationError" },
  { "upload_stream", "R/f/x", "ValidationError" },
  { "upload_stream", "R/" .. LONG, "ValidationError" },
  { "make_dir", "R/f", "ValidationError" },
  { "make_dir", "R/f/x", "ValidationError" },
  { "make_dir", "R/" .. LONG, "ValidationError" },
  { "list", "R/none", "NotFoundError" },
  { "list", "R/f", "ValidationError" },
  { "list", "R/" .. LONG, "WrennError" },
  { "stat", "R/" .. LONG, "NotFoundError" },
  { "stat", "R/" .. LONG .. "/x", "NotFoundError" },
}

generations.each(function(g)
  describe("failures in a " .. g.name, function()
    local s, capsule, files

    setup(function()
      s = generations.start(g)
      capsule = assert(Capsule.create(s:options({ wait = true })))
      files = capsule.files
      assert(capsule.commands:run("mkdir -p R/d; echo x > R/f; mkfifo R/p;"
        .. " ln -s none R/broken", { check = true }))
    end)

    teardown(function()
      s:stop()
    end)

    for _, case in ipairs(cases) do
      it("are told: " .. case[1] .. " " .. case[2]:gsub("n+", "n"), function()
        local argument
        if case[1] ~= "list" then
          argument = "x"
        end
        local err = is_error(case[3], files[case[1]](files, case[2], argument))
        assert.is_false(err:is("InternalError"), tostring(err))
        assert.is_false(err:is("AgentError"), tostring(err))
        assert.are.equal("x\n", files:read("R/f"))
      end)
    end
  end)
end)

describe("a server that gives no reason", function()
  local p

  after_each(function()
    p:stop()
  end)

  -- Fails all calls of files but list, which has `entries`; commands end so.
  local function files_of(entries, code, stderr)
    p = peer.serving(([[
      if req.path:find("list") then
        c:respond(200, '{"entries":[%s]}')
      elseif req.path:find("files/") then
        c:respond(500, '{"error":{"code":"internal_error","message":'
          .. '"Something went wrong on our end.","request_id":"req_1"}}')
      elseif req.path:find("/exec") then
        c:respond(200,
          '{"stdout":"5 x\\n","stderr":"%s","exit_code":%d}')
      end
    ]]):format(entries or "", stderr or "", code or 0))
    return p:capsule().files
  end

  local function looks()
    local count = 0
    for _, request in ipairs(p:received()) do
      if request:find("/exec ", 1, true) or request:find("/list ", 1, true) then
        count = count + 1
      end
    end
    return count
  end

  local x = '{"name":"x","path":"/x","type":"file","size":5}'

  it("is helped with one look, and its request is still named", function()
    for _, case in ipairs({
      { "read", 7, "", "ValidationError" },
      { "read", 8, "", "ValidationError" },
      { "read", 1, "wc: /x: No such file or directory", "NotFoundError" },
      { "read", 1, "wc: /x: Not a directory", "NotFoundError" },
      { "read", 1, "wc: /x: Permission denied", "ForbiddenError" },
      { "read", 1, "wc: /x: File name too long", "ValidationError" },
      { "write", 7, "", "ValidationError" },
      { "write", 9, "", "ValidationError" },
      { "write", 10, "", "NotFoundError" },
      { "write", 13, "", "ForbiddenError" },
      { "upload_stream", 7, "", "ValidationError" },
      { "make_dir", 9, "", "ValidationError" },
      { "remove", 0, "", "NotFoundError" },
    }) do
      local files = files_of("", case[2], case[3])
      local err = is_error(case[4], files[case[1]](files, "/x", "data"))
      assert.are.same({ 500, "internal_error", "req_1" },
        { err.status_code, err.code, err.request_id })
      assert.are.equal("InternalError", err.cause.type)
      assert.is_truthy(err.message:find("/x", 1, true))
      assert.are.equal(1, looks())
      p:stop()
    end
    p = peer.answering({ 204 })
  end)

  it("is helped where a list fails, too", function()
    for code, type_name in pairs({ [3] = "NotFoundError",
      [4] = "ValidationError", [13] = "ForbiddenError", [0] = "InternalError" })
    do
      p = peer.serving(([[
        if req.path:find("list") then
          c:respond(500, '{"error":{"code":"internal_error","message":'
            .. '"Something went wrong on our end."}}')
        elseif req.path:find("/exec") then
          c:respond(200, '{"stdout":"","stderr":"","exit_code":%d}')
        end
      ]]):format(code))
      local files = p:capsule().files
      is_error(type_name, files:list("/x"))
      p:stop()
    end
    p = peer.answering({ 204 })
  end)

  it("keeps its error where the look finds nothing", function()
    for _, name in ipairs({ "read", "write", "upload_stream", "make_dir",
      "remove" })
    do
      local files = files_of(x)
      is_error("InternalError", files[name](files, "/x", "data"))
      assert.are.equal(1, looks())
      p:stop()
    end
    p = peer.answering({ 204 })
  end)
end)
