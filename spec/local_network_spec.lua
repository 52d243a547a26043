-- The networks of local capsules: one with a way out, and none.

local compat = require("spec.support.compat")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local guest = require("spec.support.guest")
local host_service = require("spec.support.host_service")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local can_go_out = walls.up and disk.shell("command -v slirp4netns >/dev/null"
  .. " && bash -c 'exec 3<>/dev/net/tun' 2>/dev/null && echo yes") ~= ""

-- An address of this machine that is not on its loopback interface, if it has
-- one: from inside a capsule it is out there.
local outside = disk.shell("hostname -I 2>/dev/null")
  :match("%d+%.%d+%.%d+%.%d+")

after_each(host_service.stop_all)

local FETCH = [[
import sys, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=10).status)
except OSError as e:
    print("no")
]]

local function fetch(capsule, address, port)
  assert(capsule.files:write("fetch.py", FETCH))
  return (assert(capsule.commands:run(("python3 -I fetch.py http://%s:%d/echo")
    :format(address, port))).stdout:gsub("\n", ""))
end

-- The pids of the helpers that a server has started.
local function helpers(s)
  local found = {}
  for pid in disk.shell(("cat /proc/%d/task/*/children 2>/dev/null")
    :format(s.pid)):gmatch("%d+") do
    if disk.shell("cat /proc/" .. pid .. "/cmdline 2>/dev/null | tr '\\0' ' '")
      :find("slirp4netns", 1, true) then
      found[#found + 1] = pid
    end
  end
  return found
end

local function are_gone(pids)
  expect.soon(function()
    for _, pid in ipairs(pids) do
      if disk.shell(("test -d /proc/%s && echo yes"):format(pid)) ~= "" then
        return false
      end
    end
    return true
  end)
end

for _, user in ipairs({ "root", "wrenn-user" }) do
  local tell = can_go_out and describe or pending
  tell("a capsule with a way out, as " .. user, function()
    local s, one, two

    setup(function()
      s = server.start("--isolation bwrap --network outgoing --user " .. user)
      one = assert(wrenn.Capsule.create(s:options({ wait = true })))
      two = assert(wrenn.Capsule.create(s:options({ wait = true })))
    end)

    teardown(function()
      s:stop()
    end);

    (outside and it or pending)("reaches what is out there", function()
      assert.are.equal("200",
        fetch(one, outside, host_service.start("0.0.0.0")))
    end)

    it("reaches nothing on the loopback interface of the host", function()
      local port = host_service.start("127.0.0.1")
      assert.are.equal("no", fetch(one, "127.0.0.1", port))
      assert.are.equal("no", fetch(one, "10.0.2.2", port))
    end)

    it("has ports of its own, which the proxy reaches", function()
      for _, capsule in ipairs({ one, two }) do
        assert.are.equal(8123, guest(capsule, "127.0.0.1", 8123))
        assert.are.equal(200, assert(capsule:request(8123,
          { path = "/echo" })).status)
      end
      assert.are.equal("nameserver 10.0.2.3\n",
        assert(one.commands:run("cat /etc/resolv.conf")).stdout)
    end)

    it("loses its helper when it ends", function()
      local pids = helpers(s)
      assert.are.equal(2, #pids)
      assert(one:destroy({ wait = true }))
      expect.soon(function()
        return #helpers(s) == 1
      end)
      s:stop("KILL")
      are_gone(pids)
    end)
  end)
end

local program = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"

-- Prints the interfaces of a new capsule.
local INTERFACES = [[
local capsule = assert(require("wrenn").Capsule.create({ wait = true }))
io.write(assert(capsule.commands:run(
  "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d \" \"")).stdout)]];

(can_go_out and describe or pending)("a server that nothing is told", function()
  it("gives capsules a network of their own with a way out", function()
    local names = disk.shell(("%s -- %s -e '%s' | sort"):format(program,
      compat.lua, INTERFACES))
    assert.are.equal("lo\ntap0\n", names)
  end)
end)

walls.only(describe, pending)("a machine without slirp4netns", function()
  it("has capsules without a network, and says so once", function()
    local folder = disk.folder()
    os.execute(("ln -s $(command -v bwrap) /bin/true %s"):format(
      folder))
    local s = server.start("--isolation bwrap --network outgoing 2>" .. folder
      .. "/said", "PATH=" .. folder)
    local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    assert.are.equal("lo\n", assert(capsule.commands:run(
      "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '")).stdout)
    assert.are.equal("no", fetch(capsule, "127.0.0.1",
      host_service.start("127.0.0.1")))
    s:stop()
    local _, times = disk.read(folder .. "/said"):gsub(
      "slirp4netns is missing%. Install it", "")
    assert.are.equal(1, times)
    os.execute("rm -r " .. folder)
  end)
end)
