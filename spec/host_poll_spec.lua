-- A plain program: tasks of the library's own, and nothing else to wait for.

local host = require("spec.support.host")

host.describe("in a plain program", {
  host = "poll", script = "poll", forks = true, wakeups = 5,
})
