-- The plugin of nvim without a user: runs buffers, types into
-- shells, and prints the contents of the windows.

local figures = require("spec.hosts.figures")
local wrenn = require("wrenn")

local function say(name, value)
  io.stdout:write(name, " ", (tostring(value):gsub("\n", "/")), "\n")
end

vim.o.columns, vim.o.lines = 72, 30
vim.o.showmode = false -- it would be printed among the figures

local function text_of(buffer)
  return table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, true), "\n")
end

-- The newest buffer of runs, or of shells.
local function buffer_of(kind)
  local found
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_get_name(buffer):find("^wrenn://" .. kind) then
      found = buffer
    end
  end
  return found
end

local function wait_until(condition)
  local deadline = vim.loop.now() + 60000
  repeat
    wrenn.task.sleep(0.02)
    local met = condition()
    if met then
      return met
    end
  until vim.loop.now() > deadline
end

local function wait_for(kind, pattern)
  return wait_until(function()
    local buffer = buffer_of(kind)
    return buffer and text_of(buffer):find(pattern) and text_of(buffer)
  end)
end

local function edit(filetype, ...)
  vim.api.nvim_buf_set_lines(0, 0, -1, true, { ... })
  vim.bo.filetype = filetype
end

-- The number of commands that still run in the plugin's capsule.
local function wait_for_commands(count)
  local capsule = wrenn.check(wrenn.Capsule.connect(
    wrenn.check(wrenn.Capsule.list({ status = "running" }))[1].id))
  return wait_until(function()
    return #wrenn.check(capsule.commands:list()) == count
  end)
end

local function run_buffers()
  edit("sh", "for i in 1 2 3; do", "  echo line $i", "done", "exit 3")
  local missed, output = figures.ticks_missed(vim.loop, function()
    vim.cmd("WrennRun")
    return wait_for("run", "%[exit 3%]")
  end)
  say("output", output)
  say("ticks_missed", missed)
  say("stays", vim.api.nvim_get_current_line())

  edit("python", "import time", "print('soon')", "time.sleep(60)")
  vim.cmd("WrennRun")
  say("unbuffered", wait_for("run", "soon\n"))
  edit("sh", [[printf '1%%\r22%%\r\n\033[1;31mred\033[m\r\n\377']])
  vim.cmd("WrennRun")
  say("cleaned", wait_for("run", "exit 0"))
  say("replaced", wait_for_commands(0))

  edit("", "no echo one more", "no echo öff more")
  vim.fn.setreg('"', "kept")
  vim.api.nvim_feedkeys("gg03l\22j7l\27", "xt", false)
  vim.cmd("'<,'>WrennRun")
  say("block", wait_for("run", "exit 0"))
  vim.api.nvim_feedkeys("gg03lvf \27", "xt", false)
  vim.cmd("'<,'>WrennRun cat")
  say("characters", wait_for("run", "exit 0"))
  say("register", vim.fn.getreg('"'))

  edit("", "echo up; sleep 60")
  vim.cmd("WrennRun")
  wait_for("run", "up")
  vim.cmd("bwipeout " .. buffer_of("run"))
  say("closed", wait_for_commands(0))
end

local function use_shells()
  local function rows()
    return ("%d %d"):format(vim.api.nvim_win_get_height(0), vim.o.columns)
  end
  vim.cmd("WrennShell")
  -- The first is typed before it is up.
  vim.api.nvim_input("iecho six times seven is $((6*7)); stty size<CR>")
  say("shell", wait_for("shell", "seven is 42\n") ~= nil)
  say("begun", wait_for("shell", "\n" .. rows() .. "\n") ~= nil)
  -- Each key arrives as it is, and without a line's end.
  vim.api.nvim_input("stty raw -echo; echo go; head -c 3 | od -An -tx1;"
    .. " stty sane<CR>")
  wait_for("shell", "\n *go")
  vim.api.nvim_input("<C-D><C-U><Esc>")
  say("raw", wait_for("shell", "04 15 1b") ~= nil)
  vim.api.nvim_input("<C-\\><C-n>")
  wrenn.task.sleep(0.1)
  vim.o.columns, vim.o.lines = 60, 20
  vim.api.nvim_input("iuntil stty size | grep '^" .. rows() .. "$'; do"
    .. " sleep 0.1; done<CR>")
  say("resized", wait_for("shell", "\n" .. rows() .. "\n") ~= nil)
  vim.api.nvim_input("exit<CR>")
  say("ended", wait_for("shell", "the shell has ended") ~= nil)
  vim.api.nvim_input("x")
  say("gone", wait_until(function()
    return not buffer_of("shell")
  end))
  vim.cmd("WrennShell")
  wait_for("shell", "#")
  vim.cmd("bwipeout! " .. buffer_of("shell"))
  say("killed", wait_for_commands(0))
end

local function leave()
  vim.cmd("WrennStop")
  edit("", "echo again; sleep 60")
  vim.cmd("WrennRun")
  say("another", wait_for("run", "again\n"))
  vim.cmd("WrennShell")
  wait_for("shell", "#")
  say("finished", true)
  vim.cmd("qa!") -- what runs must not outlive it
end

wrenn.task.spawn(function()
  local ok, err = pcall(function()
    run_buffers()
    use_shells()
    leave()
  end)
  if not ok then
    say("raised", err)
    vim.cmd("qa!")
  end
end)
