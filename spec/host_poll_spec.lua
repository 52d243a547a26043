-- A plain program, without an event loop: only the library's tasks.

local host = require("spec.support.host")

host.describe("in a plain program", {
  host = "poll", script = "poll", forks = true, wakeups = 5,
})
