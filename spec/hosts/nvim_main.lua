-- nvim --headless -l is younger than Debian's: nvim --headless -u NONE \
--   -c 'luafile spec/hosts/nvim_main.lua', PARTS in WRENN_PARTS

local uv = vim.loop
local measure = require("spec.hosts.measure")

local function sleep(seconds)
  local co = coroutine.running()
  local timer = uv.new_timer()
  timer:start(math.floor(seconds * 1000), 0, function()
    timer:close()
    assert(coroutine.resume(co))
  end)
  coroutine.yield()
end

local function spawn(fn)
  coroutine.wrap(fn)()
end

local host = {
  sleep = sleep, spawn = spawn,
  system = vim.fn.system,
  print = function(line)
    io.stdout:write(line, "\n")
    io.stdout:flush()
  end,
}

spawn(function()
  measure(host, os.getenv("WRENN_PARTS"))
  vim.schedule(function()
    host.print("loop_ended true")
    vim.cmd("qa!")
  end)
end)
