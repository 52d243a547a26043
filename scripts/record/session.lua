-- A recording: a program on a screen, what is typed, and pictures of what is to
-- be seen, written to the file that WRENN_SCREEN names.

local screens = require("screen")
local svg = require("svg")

local session = {}

--- Starts an editor with a screen of so many rows, calls fn(take, screen), and
--- ends this one. take(seconds, pattern): a picture, once what a pattern tells is
--- to be seen.
function session.record(title, args, cwd, rows, fn)
  local frames = {}
  local ok, result = pcall(function()
    local screen = screens.start(args, cwd, 72, rows)
    fn(function(seconds, pattern)
      screen:wait(pattern)
      frames[#frames + 1] = svg.frame(screen, seconds)
    end, screen)
    assert(screen:finish(), "it did not end")
    return svg.picture(screen, frames, title)
  end)
  if ok then
    local out = assert(io.open(os.getenv("WRENN_SCREEN"), "w"))
    out:write(result)
    out:close()
  else
    io.stderr:write(tostring(result), "\n")
  end
  vim.cmd(ok and "qa!" or "cquit 1")
end

return session
