-- copas, as old as Debian's: threads wait on what looks like sockets.

local host = require("spec.support.host")

host.describe("in copas", {
  host = "copas", script = "copas", forks = true, wakeups = 5,
})
