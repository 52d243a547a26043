-- Files that are larger than some servers accept in one request are sent in
-- parts, by every call that sends files.

local core = require("wrenn.core")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local peer = require("spec.support.peer")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local is_error = expect.error
local shell = disk.shell

-- Bytes of which no two parts are alike.
local function content(size)
  local block = core.random(256):rep(256)
  local list = {}
  for i = 1, math.ceil(size / #block) do
    list[i] = ("%016d"):format(i) .. block:sub(17)
  end
  return table.concat(list):sub(1, size)
end

local function pieces_of(data, step)
  local at = 1
  return function()
    local piece = data:sub(at, at + step - 1)
    at = at + step
    return piece ~= "" and piece or nil
  end
end

generations.each(function(g)
  describe("large files in a " .. g.name, function()
    local s, capsule, files, dir
    local big = content(5 * 1024 * 1024 + 17)

    setup(function()
      s = generations.start(g)
      capsule = assert(Capsule.create(s:options({ wait = true })))
      files = capsule.files
      dir = disk.folder()
    end)

    teardown(function()
      s:stop()
      shell("rm -rf " .. dir)
    end)

    local function sh(line)
      return assert(capsule.commands:run(line, { check = true })).stdout
    end

    local function is_there(path)
      local sum = core.sha256()
      sum:update(big)
      assert.are.equal(sum:hex(), sh("sha256sum < " .. path):match("^%x+"))
    end

    local function nothing_left(where)
      assert.are.equal("", sh("ls -A " .. where .. " | grep '[.]wrenn-' || :"))
    end

    local function write_local()
      local file = assert(io.open(dir .. "/big", "wb"))
      file:write(big)
      file:close()
    end

    local ways = {
      write = function() return files:write("L/f", big) end,
      ["upload_stream of a string"] = function()
        return files:upload_stream("L/f", big)
      end,
      ["upload_stream of a function"] = function()
        return files:upload_stream("L/f", pieces_of(big, 100001))
      end,
      ["upload_stream of few, large pieces"] = function()
        return files:upload_stream("L/f", pieces_of(big, 3000000))
      end,
      upload = function()
        write_local()
        return files:upload(dir .. "/big", "L/f", { verify = true })
      end,
      write_files = function()
        return files:write_files({ { path = "L/f", data = big },
          { path = "L/g", data = "small" } })
      end,
      upload_dir = function()
        write_local()
        local result, err = files:upload_dir(dir, "L")
        assert(result, tostring(err))
        return files:rename("L/big", "L/f")
      end,
      stdin = function()
        return capsule.commands:run("mkdir -p L; cat > L/f",
          { stdin = big, check = true })
      end,
    }
    for name, way in pairs(ways) do
      it("go by " .. name, function()
        sh("rm -rf L")
        assert(way())
        is_there("L/f")
        nothing_left("L")
        nothing_left("~")
        if walls.up then -- else it is everybody's
          nothing_left("/tmp")
        end
      end)
    end
  end)
end)

describe("a file in parts", function()
  local s, capsule, files
  local big = content(2 * 1024 * 1024 + 1)

  setup(function()
    s = generations.start({ name = "0.1" })
    capsule = assert(Capsule.create(s:options({ wait = true })))
    files = capsule.files
  end)

  teardown(function()
    s:stop()
  end)

  local function sh(line)
    return assert(capsule.commands:run(line, { check = true })).stdout
  end

  before_each(function()
    sh("rm -rf P; mkdir -p P/d")
  end)

  after_each(function() -- what a broken-off upload leaves is removed behind it
    expect.soon(function()
      return sh("find ~ -name '*.wrenn-*'") == ""
    end)
  end)

  it("takes the place of one that was there, with its rights", function()
    sh("printf old > P/f; chmod 750 P/f")
    assert(files:write("P/f", big))
    assert.are.equal(("750 %d\n"):format(#big), sh("stat -c '%a %s' P/f"))
    assert(files:write("P/new", big))
    assert.are.equal("644\n", sh("stat -c %a P/new"))
  end)

  it("goes where a link leads, which stays", function()
    sh("printf old > P/d/f; ln -s d/f P/l; ln -s d/none P/broken")
    assert(files:write("P/l", big))
    assert(files:write("P/broken", big))
    assert.are.equal(("d/f\nd/none\n%d\n%d\n"):format(#big, #big),
      sh("readlink P/l P/broken; stat -c %s P/d/f P/d/none"))
  end)

  it("may have any name", function()
    for _, name in ipairs({ "-f", "a b", "$(x)", "new\nline\n", "'q'", "~" })
    do
      assert(files:write("P/" .. name, big))
      assert.are.equal(#big, assert(files:stat("P/" .. name)).size)
    end
    local path = walls.home(capsule) .. "/P/absolute"
    assert(files:write(path, big))
    assert.are.equal(#big, assert(files:stat(path)).size)
    assert(files:write("~/homefile", big))
    assert(files:remove("homefile"))
  end)

  it("makes directories", function()
    assert(files:write("P/a/b/c/f", big))
    assert.are.equal(#big, assert(files:stat("P/a/b/c/f")).size)
  end)

  it("goes into what is no file, too", function()
    sh("ln -s /dev/null P/null")
    assert(files:write("P/null", big))
    assert.are.equal("character special file\n", sh("stat -Lc %F P/null"))
  end)

  it("is refused by a directory and below a file", function()
    sh("printf x > P/f")
    local err = is_error("ValidationError", files:write("P/d", big))
    assert.is_truthy(err.message:find("P/d is a directory", 1, true))
    err = is_error("WrennError", files:write("P/f/x", big))
    assert.is_truthy(tostring(err):find("P/f", 1, true))
    assert.are.equal("x", sh("cat P/f"))
  end)

  it("leaves nothing when its source fails, and what was there stays",
    function()
      sh("printf old > P/f")
      local left = 40
      local function next_piece(last)
        return function()
          left = left - 1
          if left < 0 then
            return last()
          end
          return big
        end
      end
      is_error("ValidationError", files:upload_stream("P/f",
        next_piece(function() return nil, "on fire" end)))
      left = 3
      local ok, why = pcall(files.upload_stream, files, "P/f",
        next_piece(function() error("raised", 0) end))
      assert.are.same({ false, "raised" }, { ok, why })
      assert.are.equal("old", sh("cat P/f"))
    end)

  it("leaves nothing when it is given up", function()
    sh("printf old > P/f")
    is_error("TimeoutError", wrenn.task.with_timeout(1, function()
      return files:upload_stream("P/f", function()
        wrenn.task.sleep(0.05)
        return big
      end)
    end))
    assert.are.equal("old", sh("cat P/f"))
  end)

  it("is joined as it comes: little more room than its own", function()
    local count, most = 0, 0
    assert(files:upload_stream("P/f", function()
      count = count + 1
      if count % 8 == 0 then
        most = math.max(most,
          tonumber(sh("ls P/.wrenn-* | grep -c '^[0-9]' || :")))
      end
      return count <= 50 and big or nil
    end))
    assert.are.equal(50 * #big, assert(files:stat("P/f")).size)
    assert.is_true(most > 0 and most <= 16, tostring(most))
  end)
end)

-- A server may finish a request whose client has left after the next one.
describe("the parts of a file", function()
  local p

  after_each(function()
    p:stop()
  end)

  -- A server of before 0.2, which answers the sending of a part by `script`.
  local function upload(script)
    p = peer.serving([[
      if req.path == "/health" then
        c:respond(404)
      elseif req.path:find("write") then
        ]] .. script .. [[
      elseif req.path:find("mkdir") then
        c:respond(200, '{"entry":{"name":"x","path":"/x",'
          .. '"type":"directory"}}')
      elseif req.path:find("remove") then
        c:respond(204)
      end
    ]])
    local files = p:capsule().files
    return wrenn.task.spawn(files.write, files, "/d/f",
      ("x"):rep(2 * 1024 * 1024 + 1))
  end

  local function removals()
    local count = 0
    for _, request in ipairs(p:received()) do
      count = count + (request:find("remove HTTP", 1, true) and 1 or 0)
    end
    return count
  end

  it("are removed again when one of them may still arrive", function()
    local writing = upload("log('taken') c:sleep(60)")
    p:await("taken")
    writing:cancel()
    is_error("CancelledError", writing:wait())
    expect.soon(function() return removals() == 3 end)
  end)

  it("are removed once when they have been answered", function()
    wrenn.task.run(function() -- which waits for what is tidied up
      is_error("ValidationError", upload("c:respond(400)"):wait())
    end)
    assert.are.equal(1, removals())
  end)
end)

-- A server whose daemon takes less than its version says.
describe("a server that hangs up on large files", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function files_of()
    p = peer.serving([[
      if req.path == "/health" then
        c:respond(200, '{"status":"ok","version":"0.2.0"}')
      elseif req.path:find("write") then
        if #req.body > 2 * 1024 * 1024 then
          c:respond(502, '{"error":{"code":"agent_error","message":'
            .. '"internal: write file: write chunk: broken pipe"}}')
        else
          c:respond(204)
        end
      elseif req.path:find("/exec") then
        c:respond(200, '{"stdout":"","stderr":"","exit_code":0}')
      elseif req.path:find("mkdir") then
        c:respond(200, '{"entry":{"name":"x","path":"/x",'
          .. '"type":"directory"}}')
      elseif req.path:find("remove") then
        c:respond(204)
      end
    ]])
    return p:capsule().files
  end
  local big = ("x"):rep(3 * 1024 * 1024)

  it("is given parts, the same file again where that can be", function()
    local files = files_of()
    assert.is_true(files:write("/f", big))
    assert.is_true(files:upload_stream("/f", { big, big }))
    local large = 0
    for _, request in ipairs(p:received()) do
      large = large + (#request > 2 * 1024 * 1024 and 1 or 0)
    end
    assert.are.equal(1, large)
  end)

  it("is told of as what it is where the source cannot be read again",
    function()
      local files = files_of()
      local err = is_error("TooLargeError",
        files:upload_stream("/f", pieces_of(big, 1000000)))
      assert.are.equal(502, err.status_code)
      assert.is_true(files:upload_stream("/f", pieces_of(big, 1000000)))
    end)
end)
