-- The local side of downloads and uploads: existing files are not damaged, and
-- errors name the path that the caller has passed.

local compat = require("spec.support.compat")
local core = require("wrenn.core")
local disk = require("spec.support.disk")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local shell, read_file, write_file = disk.shell, disk.read, disk.write

describe("on this machine", function()
  local s, capsule, files, dir, target

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
    files = capsule.files
    assert(files:write("f", "content"))
    assert(capsule.commands:run("head -c 2000000 /dev/zero > z",
      { check = true }))
  end)

  teardown(function()
    s:stop()
  end)

  before_each(function()
    dir = disk.folder()
    target = dir .. "/target"
  end)

  after_each(function()
    shell("rm -rf " .. dir)
  end)

  -- A local error that begins with the path, and no name of ours.
  local function names(path, what, result, err)
    assert.is_nil(result)
    assert.are.equal("local", err.details and err.details.kind, tostring(err))
    assert.are.equal(path .. ": " .. what, err.message)
  end

  local function is_here(list)
    assert.are.equal(list, shell("ls -A " .. dir))
  end

  it("a link in the place of the part is not followed", function()
    for _, other in ipairs({ dir .. "/other", dir .. "/none", "/dev/null" }) do
      write_file(dir .. "/other", "content that is somebody's")
      shell(("ln -sfn %s %s.part"):format(other, target))
      names(target .. ".part", "it is a symbolic link",
        files:download("f", target, { resume = true }))
      assert.are.equal("content that is somebody's", read_file(dir .. "/other"))
      assert.are.equal(other .. "\n", shell("readlink " .. target .. ".part"))
      is_here("other\ntarget.part\n")
    end
  end)

  it("nor is a second name of another file written to", function()
    write_file(dir .. "/other", "conten")
    shell(("ln %s/other %s.part"):format(dir, target))
    names(target .. ".part", "it has another name too",
      files:download("f", target, { resume = true }))
    assert.are.equal("conten", read_file(dir .. "/other"))
  end)

  it("nor is a pipe, a device or a directory waited for", function()
    shell("mkfifo " .. target .. ".part")
    names(target .. ".part", "not a regular file",
      files:download("f", target, { resume = true }))
    shell(("rm %s.part; mkdir %s.part"):format(target, target))
    names(target .. ".part", "Is a directory",
      files:download("f", target, { resume = true }))
  end)

  it("a link in the target's own place is replaced", function()
    write_file(dir .. "/other", "somebody's")
    shell(("ln -s other %s"):format(target))
    for _, resume in ipairs({ true, false }) do
      assert(files:download("f", target, { resume = resume }))
      assert.are.equal("content", read_file(target))
      assert.are.equal("somebody's", read_file(dir .. "/other"))
      is_here("other\ntarget\n")
    end
  end)

  it("a rename that fails is a failure, with and without resume", function()
    for _, resume in ipairs({ true, false }) do
      names(target, "Is a directory", files:download("f", target, {
        resume = resume, on_progress = function()
          shell("mkdir -p " .. target .. "/x")
        end }))
      is_here(resume and "target\ntarget.part\n" or "target\n")
      shell("rm -r " .. target .. "*")
    end
  end)

  it("a directory that vanishes meanwhile is a failure", function()
    names(target, "No such file or directory",
      files:download("f", target, { on_progress = function()
        shell("rm -r " .. dir)
      end }))
  end)

  it("the name beside cannot be guessed", function()
    local seen = {}
    for _ = 1, 2 do
      assert(files:download("z", target, { on_progress = function()
        local name = shell("ls -A " .. dir .. " | grep -v '^target$'")
        seen[#seen + 1] = name:match("^%.wrenn%-(%x+)\n$")
      end }))
    end
    assert.is_true(#seen >= 2)
    assert.is_true(#seen[1] >= 16)
    assert.are_not.equal(seen[1], seen[#seen])
  end)

  it("what the name beside has is not written to", function()
    local create = core.tree
    core.tree = function(path) -- somebody has guessed it
      local tree = create(path)
      return setmetatable({}, { __index = function(_, name)
        return function(_, ...)
          if name == "create" then
            shell(("ln -s %s/other %s/%s"):format(dir, dir, (...)))
          end
          return tree[name](tree, ...)
        end
      end })
    end
    finally(function() core.tree = create end)
    write_file(dir .. "/other", "somebody's")
    assert(files:download("f", target))
    assert.are.equal("somebody's", read_file(dir .. "/other"))
    assert.are.equal("content", read_file(target))
    is_here("other\ntarget\n")
  end)

  it("a full disk names the target, and what was there stays", function()
    local create = core.tree
    local function full()
      return nil, "write: No space left on device"
    end
    core.tree = function(path)
      local tree = create(path)
      return setmetatable({}, { __index = function(_, name)
        return function(_, ...)
          if name ~= "create" then
            return tree[name](tree, ...)
          end
          local file = tree:create(...)
          return { write = full, close = function() return file:close() end }
        end
      end })
    end
    finally(function() core.tree = create end)
    write_file(target, "before")
    names(target, "No space left on device", files:download("f", target))
    assert.are.equal("before", read_file(target))
    is_here("target\n")
  end)

  it("a file that becomes too large for this machine names the target",
    function()
      local script = dir .. "/script.lua"
      write_file(script, [[
        local wrenn = require("wrenn")
        local url, key, id, target = ...
        local capsule = wrenn.check(wrenn.Capsule.connect(id,
          { base_url = url, api_key = key }))
        local _, err = capsule.files:download("z", target)
        print(err and err.details.kind, err and err.message)
      ]])
      assert.are.equal("local\t" .. target .. ": File too large\n",
        compat.output_of(("trap '' XFSZ; ulimit -f 1000; timeout 60 %s %s"
          .. " %s %s %s %s 2>&1"):format(compat.lua, script, s.url, s.key,
          capsule.id, target)))
      is_here("script.lua\n")
    end)

  it("bytes come in order, whatever is done meanwhile", function()
    assert(capsule.commands:run("seq 300000 > numbers", { check = true }))
    assert(files:download("numbers", target, { on_progress = function(bytes)
      if bytes < 1000000 then
        assert(wrenn.task.sleep(0.002)) -- more arrives
      end
    end }))
    shell(("seq 300000 > %s/expected"):format(dir))
    assert.are.equal("", shell(("cmp %s/expected %s"):format(dir, target)))
  end)

  it("a target that cannot be is named", function()
    names(dir .. "/none/x", "No such file or directory",
      files:download("f", dir .. "/none/x"))
    names(dir, "is a directory", files:download("f", dir))
    names(dir .. "/none/", "Is a directory",
      files:download("f", dir .. "/none/"))
    names("/dev/null", "not a regular file",
      files:download("f", "/dev/null"))
    local long = dir .. "/" .. ("n"):rep(256)
    names(long, "File name too long",
      files:download("f", long, { resume = true }))
    long = dir .. "/" .. ("n"):rep(253)
    names(long, "File name too long",
      files:download("f", long, { resume = true }))
    assert(files:download("f", long))
  end)

  it("a file is made with the rights of any other", function()
    write_file(dir .. "/plain", "")
    for _, resume in ipairs({ true, false }) do
      assert(files:download("f", target, { resume = resume }))
      assert.are.equal(shell("stat -c %a " .. dir .. "/plain"),
        shell("stat -c %a " .. target))
    end
  end)

  it("a path without a directory is one here", function()
    local name = "wrenn-spec-" .. server.unique()
    finally(function() os.remove(name) end)
    assert(files:download("f", name))
    assert.are.equal("content", read_file(name))
  end)

  it("a source that has gone, or goes, is named", function()
    names(dir .. "/none", "No such file or directory",
      files:upload(dir .. "/none", "up"))
    write_file(target, ("x"):rep(600000))
    local result, err = files:upload(target, "up", {
      on_progress = function()
        write_file(target, "short")
      end })
    assert.is_nil(result)
    assert.are.equal(target .. " has become shorter meanwhile", err.message)
  end)

  it("so is one that goes before anything has been read", function()
    write_file(target, ("x"):rep(600000))
    local open, opening = io.open, nil
    opening = stub(io, "open", function(...)
      opening:revert()
      write_file(target, "short")
      return open(...)
    end)
    local result, err = files:upload(target, "up")
    assert.is_nil(result)
    assert.are.equal(target .. " has become shorter meanwhile", err.message)
    assert.are.equal("local", err.details.kind)
  end)
end)
