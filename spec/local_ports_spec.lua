-- Whose port the proxy reaches: only what a process of this capsule listens on.
-- The host's own services and those of other capsules are there on the same
-- network, and have to be as if they were not.

local expect = require("spec.support.expect")
local guest = require("spec.support.guest")
local host_service = require("spec.support.host_service")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

after_each(host_service.stop_all)

local function status(capsule, port)
  local answer = assert(capsule:request(port, { path = "/echo",
    timeout = 20 }))
  return answer.status
end

for _, case in ipairs({ { "bwrap", "root" }, { "bwrap", "wrenn-user" },
  { "none", "root" } }) do
  local tell = case[1] == "bwrap" and walls.only(describe, pending) or describe
  tell(("the port proxy with isolation %s as %s"):format(case[1], case[2]),
    function()
      local s, one, two

      setup(function()
        s = server.start(("--isolation %s --user %s"):format(case[1], case[2]))
        one = assert(wrenn.Capsule.create(s:options({ wait = true })))
        two = assert(wrenn.Capsule.create(s:options({ wait = true })))
      end)

      teardown(function()
        s:stop()
      end)

      it("reaches no service of the host", function()
        assert.are.equal(502, status(one, host_service.start("127.0.0.1")))
      end)

      it("reaches the service of its own capsule and of no other", function()
        for _, address in ipairs({ "127.0.0.1", "0.0.0.0", "::1", "::" }) do
          local port = guest(one, address)
          assert.are.equal(200, status(one, port), address)
        end
        assert.are.equal(502, status(two, guest(one)))
      end)

      it("is not led to the host by a service on another address", function()
        local port = host_service.start("127.0.0.1")
        assert.are.equal(port, guest(one, "127.0.0.2", port))
        assert.are.equal(502, status(one, port))
      end)

      it("reaches what a descendant holds that has no parent", function()
        assert(one.files:write("/tmp/orphan.sh", ([[
          setsid python3 -c '
import socket, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
open("HOME/port", "w").write(str(s.getsockname()[1]))
while True:
    c, _ = s.accept()
    c.recv(1000)
    c.sendall(b"HTTP/1.0 204 x\r\n\r\n")
    c.close()
' >/dev/null 2>&1 &]]):gsub("HOME", walls.home(one))))
        assert(one.commands:run("sh /tmp/orphan.sh"))
        local port = expect.soon(function()
          return tonumber((one.files:read("port")))
        end)
        assert.are.equal(204, status(one, port))
      end)
    end)
end
