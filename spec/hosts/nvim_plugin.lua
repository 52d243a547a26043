-- The plugin of examples/neovim, with nobody at the keyboard: runs a buffer,
-- types into a shell, and prints what the windows show.

local function say(name, value)
  io.stdout:write(name, " ", (tostring(value):gsub("\n", "/")), "\n")
end

vim.o.columns, vim.o.lines = 72, 30
vim.opt.runtimepath:append("examples/neovim")
vim.cmd("runtime plugin/wrenn.lua")

local function text_of(buffer)
  return table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, true), "\n")
end

local function wait_for(buffer, pattern)
  return vim.wait(20000, function()
    return text_of(buffer):find(pattern) ~= nil
  end, 20)
end

vim.api.nvim_buf_set_lines(0, 0, -1, true, {
  "for i in 1 2 3; do", "  echo line $i", "done", "exit 3",
})
vim.bo.filetype = "sh"
local screen = { ":WrennRun", text_of(0), "" }

local ticks = 0
local timer = vim.loop.new_timer()
timer:start(10, 10, function()
  ticks = ticks + 1
end)
vim.cmd("WrennRun")
local output = vim.api.nvim_get_current_buf()
say("ran", wait_for(output, "%[exit 3%]"))
say("ticks_beside", ticks)
say("output", text_of(output))
screen[#screen + 1] = text_of(output)

vim.cmd("WrennShell")
local shell = vim.api.nvim_get_current_buf()
say("prompted", wait_for(shell, "[#$] *"))

local function finish()
  screen[#screen + 1] = "\n:WrennShell"
  screen[#screen + 1] = text_of(shell):gsub("%s+$", "")
  local file = os.getenv("WRENN_SCREEN")
  if file then
    local out = assert(io.open(file, "w"))
    out:write((table.concat(screen, "\n"):gsub("[ \t]+\n", "\n")), "\n")
    out:close()
  end
  vim.cmd("bwipeout! " .. shell)
  vim.cmd("WrennStop")
  say("finished", true)
  vim.cmd("qa!")
end

-- Keys are taken by the editor's own loop, which this script must not hold up.
local looks = 0
timer:stop()
timer:start(50, 50, vim.schedule_wrap(function()
  looks = looks + 1
  local seen = text_of(shell):find("six times seven is 42") ~= nil
  if seen or looks > 200 then
    timer:stop()
    say("shell", seen)
    finish()
  end
end))
vim.api.nvim_input("iecho six times seven is $((6*7))<CR>")
