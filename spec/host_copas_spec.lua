-- copas, in Debian's old version: threads wait for objects that look like
-- sockets.

local host = require("spec.support.host")

host.describe("in copas", {
  host = "copas", script = "copas", forks = true, wakeups = 5,
})
