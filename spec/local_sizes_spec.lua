-- memory_mb and vcpus, where the server may make control groups.

local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local server = require("spec.support.server")
local wrenn = require("wrenn")

local HOG = "exec python3 -I -c 'x = []\nwhile True: x.append(bytes(1 << 20))'"

-- The folder of a group of version 1 that groups can be made in; or "".
local OWN = [[
  path=$(sed -n 's,^[0-9]*:memory:,,p' /proc/self/cgroup)
  group=/sys/fs/cgroup/memory$path
  [ -w "$group/memory.limit_in_bytes" ] && printf %s "${group%/}"]]

-- A delegated group of version 2, for the user 23456; or "".
local DELEGATED = [[
  cd /sys/fs/cgroup && grep -qw memory cgroup.subtree_control &&
    grep -qw cpu cgroup.subtree_control && mkdir wrenn-spec-%d &&
    chown 23456 wrenn-spec-%d wrenn-spec-%d/cgroup.procs \
      wrenn-spec-%d/cgroup.subtree_control && printf %%s $PWD/wrenn-spec-%d]]

local AS_SOMEBODY = [[
echo $$ >$0/cgroup.procs
folder=$(mktemp -d) && cp "$1" "${1%local}agent" $folder
chmod -R a+rx $folder
shift
exec setpriv --reuid 23456 --regid 23456 --clear-groups \
  env TMPDIR=/tmp $folder/wrenn-local "$@"
]]

local function groups_in(folder)
  return disk.shell("ls -d " .. folder .. "/wrenn-local-* 2>/dev/null")
end

-- Where the capsule is, in the hierarchy that its limits are in.
local function group_of(capsule, top, hierarchy)
  local all = assert(capsule.commands:run("cat /proc/self/cgroup")).stdout
  return top .. assert(all:match("%d+:" .. hierarchy .. ":(%S+)"))
end

local function number_in(path)
  return tonumber(disk.read(path):match("^%d+"))
end

local function holds(s, kinds)
  local client = assert(wrenn.Client(s:options()))
  local function create(memory_mb, vcpus)
    return assert(wrenn.Capsule.create({ client = client, wait = true,
      memory_mb = memory_mb, vcpus = vcpus }))
  end
  local small, large = create(96, 1), create(1024, 3)
  assert.are.equal(96 * 1024 * 1024, kinds.memory(small))
  assert.are.equal(1024 * 1024 * 1024, kinds.memory(large))
  assert.are.equal(100000, kinds.quota(small))
  assert.are.equal(300000, kinds.quota(large))
  local result = assert(small.commands:run(HOG))
  assert.are.equal(-1, result.exit_code) -- by a signal
  assert.are.equal("42\n", assert(small.commands:run("echo 42")).stdout)
  assert(small:pause({ wait = true }))
  assert(small:resume({ wait = true }))
  assert.are.equal(-1, assert(small.commands:run(HOG)).exit_code)
  local folder = kinds.folder(small)
  assert(small:destroy({ wait = true }))
  expect.soon(function()
    return disk.shell("ls -d " .. folder .. " 2>&1"):find("No such file", 1,
      true)
  end)
end

describe("the sizes of capsules, for root with cgroups of version 1", function()
  local top = disk.shell(OWN)
  local it = top ~= "" and it or pending

  local kinds = {
    folder = function(capsule)
      return group_of(capsule, "/sys/fs/cgroup/memory", "memory")
    end,
    quota = function(capsule)
      return number_in(group_of(capsule, "/sys/fs/cgroup/cpu", "cpu")
        .. "/cpu.cfs_quota_us")
    end,
  }
  function kinds.memory(capsule)
    return number_in(kinds.folder(capsule) .. "/memory.limit_in_bytes")
  end

  for _, isolation in ipairs({ "bwrap", "none" }) do
    if isolation == "none" or require("spec.support.walls").up then
      it("are kept with --isolation " .. isolation, function()
        local s = server.start("--isolation " .. isolation)
        finally(function() s:stop() end)
        holds(s, kinds)
      end)
    end
  end

  it("leave no groups behind", function()
    local s = server.start()
    assert(wrenn.Capsule.create(s:options({ wait = true })))
    local pattern = "wrenn%-local%-" .. s.pid .. "%f[%D]"
    assert.is_truthy(groups_in(top):find(pattern))
    local left = top .. "/wrenn-local-" .. s.pid
    s:stop("KILL")
    expect.soon(function() -- its capsules end by themselves
      return disk.shell("cat " .. left .. "/*/cgroup.procs") == ""
    end)
    s = server.start() -- removes what the other has left
    assert.is_nil(groups_in(top):find(pattern))
    pattern = "wrenn%-local%-" .. s.pid .. "%f[%D]"
    assert.is_truthy(groups_in(top):find(pattern))
    s:stop()
    assert.is_nil(groups_in(top):find(pattern))
  end)
end)

describe("the sizes of capsules, in a delegated cgroup of version 2", function()
  local top = disk.shell(((DELEGATED:gsub("%%d", server.unique()))
    :gsub("%%%%", "%%")) .. " 2>/dev/null")
  local it = top ~= "" and it or pending

  it("are kept", function()
    local s = server.start(nil, ("SCRIPT='%s' sh -c 'exec sh -c \"$SCRIPT\" %s"
      .. " \"$@\"' sh"):format(AS_SOMEBODY, top))
    finally(function()
      s:stop()
      os.execute("rmdir " .. top)
    end)
    local kinds = {
      folder = function(capsule)
        return group_of(capsule, "/sys/fs/cgroup", "")
      end,
    }
    function kinds.memory(capsule)
      return number_in(kinds.folder(capsule) .. "/memory.max")
    end
    function kinds.quota(capsule)
      return number_in(kinds.folder(capsule) .. "/cpu.max")
    end
    holds(s, kinds)
    s:stop()
    assert.are.equal("", groups_in(top))
  end)
end)
