-- A pause is complete: whatever a capsule's processes do meanwhile, not one of
-- them runs on.

local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

-- Goes from pid to pid: each process forks and ends, and its child goes on. The
-- memory makes a fork take long, so that a pause comes in its midst.
local HOPPER = [[
import os
memory = bytearray(b"x" * (100 << 20))
beat = os.open("beat", os.O_WRONLY | os.O_CREAT)
count = 0
while True:
    if os.fork():
        os._exit(0)
    count += 1
    os.pwrite(beat, b"%020d" % count, 0)
]]

local PAUSES = 12

for _, isolation in ipairs({ "bwrap", "none" }) do
  local tell = isolation == "bwrap" and walls.only(describe, pending)
    or describe
  tell("a pause with isolation " .. isolation, function()
    local s, capsule, data

    setup(function()
      data = disk.folder()
      s = server.start(("--isolation %s --data %s --generation 0.3"
        .. " --user root"):format(isolation, data))
      capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
    end)

    teardown(function()
      s:stop()
      os.execute("rm -rf " .. data)
    end)

    it("stops a process that hops from pid to pid", function()
      local beat = data .. "/" .. capsule.id .. "/root/beat"
      assert(capsule.files:write("hop.py", HOPPER))
      assert(capsule.commands:run("exec python3 -I hop.py",
        { background = true }))
      local last = ""
      for i = 1, PAUSES do
        local before = last
        expect.soon(function()
          local file = io.open(beat, "rb")
          last = file and file:read("*a") or ""
          if file then
            file:close()
          end
          return last > before
        end)
        assert(capsule:pause({ wait = true }))
        last = disk.read(beat)
        assert(wrenn.task.sleep(0.05)) -- some ten hops
        assert.are.equal(last, disk.read(beat), "pause " .. i)
        assert(capsule:resume({ wait = true }))
      end
    end)

    it("leaves what was stopped before it as it was", function()
      assert(capsule.commands:run("sleep 1000 >/dev/null 2>&1 & "
        .. "echo $! >asleep; until grep -q sleep /proc/$!/comm; do :; done; "
        .. "kill -STOP $!; until grep -q ') T' /proc/$!/stat; do :; done"))
      assert(capsule:pause({ wait = true }))
      assert(capsule:resume({ wait = true }))
      assert.are.equal("T\n", assert(capsule.commands:run(
        "cut -d' ' -f3 /proc/$(cat asleep)/stat")).stdout)
    end)
  end)
end
