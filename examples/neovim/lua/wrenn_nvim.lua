-- The commands. They run in tasks, so that the editor never waits.

local output = require("wrenn_nvim.output")
local wrenn = require("wrenn")

local api = vim.api

local M = {}

-- Seconds: the time without use after which a capsule is paused (if Neovim is
-- killed before it can destroy it), and the limit for destroying it at the end.
local UNUSED, PATIENCE = 3600, 5

local capsule -- one for the session, created when it is first needed
local making -- the task that creates it

-- Python and Lua would buffer their output, as it goes to a pipe.
local programs = {
  python = "python3 -u", lua = [[lua -e 'io.stdout:setvbuf("line")']],
  sh = "sh", bash = "bash", javascript = "node", perl = "perl", ruby = "ruby",
  [""] = "sh",
}

local function notify(err)
  vim.notify("wrenn: " .. tostring(err), vim.log.levels.ERROR)
end

-- Starts a task. Its error is shown, as nobody could catch it.
local function attempt(fn, show)
  return wrenn.task.spawn(function()
    local ok, err = pcall(fn)
    if not ok then
      (show or notify)(err)
    end
  end)
end

local function create()
  local made, err = wrenn.Capsule.create({ wait = true, timeout = UNUSED })
  capsule, making = made, nil
  return made, err
end

-- Returns the capsule, resumed if it was paused, or a new one if it has ended.
local function get_capsule()
  if capsule then
    local found, err = wrenn.Capsule.connect(capsule.id)
    if found then
      return found
    elseif not (err:is("NotFoundError") or err:is("CapsuleStateError")) then
      error(err, 0)
    end
    capsule = nil
  end
  making = making or wrenn.task.spawn(create)
  return wrenn.check(making:wait())
end

-- ---- :WrennRun -------------------------------------------------------------

-- Returns the selected characters or block; a range only contains lines.
local function yank()
  local view, z = vim.fn.winsaveview(), vim.fn.getreginfo("z")
  local unnamed = vim.fn.getreginfo('"')
  vim.cmd([[noautocmd silent keepjumps normal! gv"zy]])
  local lines = vim.fn.getreg("z", 1, true)
  vim.fn.setreg("z", z)
  vim.fn.setreg('"', unnamed)
  vim.fn.winrestview(view)
  return lines
end

local function lines_of(args)
  if args.range == 2 and vim.fn.visualmode():find("[v\22]")
    and args.line1 == vim.fn.line("'<") and args.line2 == vim.fn.line("'>")
  then
    return yank()
  end
  return api.nvim_buf_get_lines(0, args.line1 - 1, args.line2, false)
end

--- :[range]WrennRun [program]: runs the lines or the selection with the program,
--- or with the one for the file type, and streams the output into a split.
--- Closing the split, or another run, kills the program.
function M.run(args)
  local kind = vim.bo.filetype
  local program = args.args ~= "" and args.args or programs[kind]
  if not program then
    return notify(("what runs '%s'? Try :WrennRun PROGRAM"):format(kind))
  end
  local code = table.concat(lines_of(args), "\n") .. "\n"
  local out = output.open()
  local path = "/tmp/nvim-" .. out.buffer
  local function show(text)
    out:write(text)
  end
  local running = attempt(function()
    local own = get_capsule()
    wrenn.check(own.files:write(path, code))
    local result = wrenn.check(own.commands:run(program .. " " .. path, {
      timeout = false, on_stdout = show, on_stderr = show,
    }))
    out:finish("exit " .. result.exit_code)
  end, function(err)
    out:finish("failed: " .. tostring(err))
  end)
  api.nvim_create_autocmd("BufWipeout", {
    buffer = out.buffer,
    callback = function()
      running:cancel()
    end,
  })
end

-- ---- :WrennShell -----------------------------------------------------------

local shells = {} -- by buffer

-- Returns the columns and rows of the terminal in a buffer, if it is visible.
local function size_of(buffer)
  local window = vim.fn.win_findbuf(buffer)[1]
  local info = window and vim.fn.getwininfo(window)[1]
  if info then
    return info.width - info.textoff, info.height
  end
end

local function fit()
  for buffer, shell in pairs(shells) do
    local cols, rows = size_of(buffer)
    if shell.term and cols and (cols ~= shell.cols or rows ~= shell.rows) then
      shell.cols, shell.rows = cols, rows
      attempt(function()
        shell.term:resize(cols, rows)
      end)
    end
  end
end

-- Sends the input in order, including input from before the shell was ready.
local function send(shell)
  if shell.sending or not shell.term then
    return
  end
  shell.sending = true
  attempt(function()
    while shell.typed ~= "" do
      local bytes = shell.typed
      shell.typed = ""
      shell.term:write(bytes)
    end
    shell.sending = false
  end)
end

local function on_input(buffer, bytes)
  local shell = shells[buffer]
  if shell then
    shell.typed = shell.typed .. bytes
    send(shell)
  elseif api.nvim_buf_is_valid(buffer) then -- ended: any key closes the buffer
    vim.schedule(function()
      vim.cmd("silent! bwipeout! " .. buffer)
    end)
  end
end

local function converse(shell, buffer, channel)
  local own = get_capsule()
  shell.cols, shell.rows = size_of(buffer)
  shell.term = wrenn.check(own:pty({
    cols = shell.cols, rows = shell.rows, envs = { TERM = "xterm-256color" },
  }))
  send(shell)
  wrenn.with(shell.term, function(term) -- kills the shell if it still runs
    for ev in term do
      if ev.type == "output" then
        api.nvim_chan_send(channel, ev.data)
      end
    end
  end)
end

--- :WrennShell: a shell in the capsule, in a terminal buffer.
function M.shell()
  vim.cmd("botright new")
  vim.opt_local.number, vim.opt_local.relativenumber = false, false
  vim.opt_local.signcolumn = "no"
  local buffer = api.nvim_get_current_buf()
  local shell = { typed = "" }
  shells[buffer] = shell
  local channel = api.nvim_open_term(buffer, {
    on_input = function(_, _, _, bytes)
      on_input(buffer, bytes)
    end,
  })
  api.nvim_buf_set_name(buffer, "wrenn://shell/" .. buffer)
  local function finish(text)
    shells[buffer] = nil
    if api.nvim_buf_is_valid(buffer) then
      api.nvim_chan_send(channel, ("\r\n[%s]\r\n"):format(text))
    end
  end
  local running = attempt(function()
    converse(shell, buffer, channel)
    finish("the shell has ended")
  end, function(err)
    finish("failed: " .. tostring(err))
  end)
  api.nvim_create_autocmd("BufWipeout", {
    buffer = buffer,
    callback = function()
      shells[buffer] = nil
      running:cancel()
    end,
  })
end

-- ---- :WrennStop ------------------------------------------------------------

local function destroy()
  if making then
    making:wait()
  end
  local old = capsule
  capsule = nil
  if old then
    wrenn.check(old:destroy())
  end
end

--- :WrennStop: destroys the capsule.
function M.stop()
  attempt(destroy)
end

-- Here the editor waits, as tasks end with it.
local function leave()
  local id = capsule and capsule.id or "a capsule"
  local ok, done, err = pcall(wrenn.task.with_timeout, PATIENCE, function()
    destroy()
    return true
  end)
  if not (ok and done) then
    notify(("%s may be left over: %s"):format(id, tostring(ok and err or done)))
    vim.cmd("redraw | sleep 2") -- so that the message can be read
  end
end

local events = { "VimResized", "WinScrolled", "WinEnter" }
if vim.fn.exists("##WinResized") == 1 then -- from 0.9 on
  events[#events + 1] = "WinResized"
end
local group = api.nvim_create_augroup("wrenn", {})
api.nvim_create_autocmd(events, {
  group = group, callback = vim.schedule_wrap(fit),
})
api.nvim_create_autocmd("VimLeavePre", { group = group, callback = leave })

return M
