-- A game of 60 frames a second, which calls wrenn.update() in each.

local host = require("spec.support.host")

host.describe("in a game", {
  host = "poll", script = "game", forks = true, wakeups = 65,
})
