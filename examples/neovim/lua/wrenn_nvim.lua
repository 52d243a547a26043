-- What the commands do. All of it runs in tasks: the editor never waits.

local output = require("wrenn_nvim.output")
local wrenn = require("wrenn")

local api = vim.api

local M = {}

-- Seconds without use after which a capsule is paused, should this Neovim be
-- killed before it can destroy it; and for destroying it when Neovim ends.
local UNUSED, PATIENCE = 3600, 5

local capsule -- one for the session, made when it is first needed
local making -- the task that makes it

-- Into a pipe these two would print nothing before their end.
local programs = {
  python = "python3 -u", lua = [[lua -e 'io.stdout:setvbuf("line")']],
  sh = "sh", bash = "bash", javascript = "node", perl = "perl", ruby = "ruby",
  [""] = "sh",
}

local function notify(err)
  vim.notify("wrenn: " .. tostring(err), vim.log.levels.ERROR)
end

-- Errors are shown, not raised: nobody is there to catch them.
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

-- The capsule, resumed if it was paused, or a new one if it is no more.
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

-- What is selected by characters or by a block, which a range cannot tell.
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

--- :[range]WrennRun [program]: runs the lines, or what is selected, with the
--- program, or with what fits the file type, and streams the output into a
--- split. Closing that, and running something else, kills the program.
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

-- Columns and rows of the terminal in a buffer, if it is to be seen.
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

-- Sends what was typed, in order, also what was typed too early.
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
  elseif api.nvim_buf_is_valid(buffer) then -- it has ended: any key closes it
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
  wrenn.with(shell.term, function(term) -- which kills what still runs
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

--- :WrennStop: the capsule is destroyed.
function M.stop()
  attempt(destroy)
end

-- Here the editor waits: nothing of ours goes on behind it.
local function leave()
  local id = capsule and capsule.id or "a capsule"
  local ok, done, err = pcall(wrenn.task.with_timeout, PATIENCE, function()
    destroy()
    return true
  end)
  if not (ok and done) then
    notify(("%s may be left over: %s"):format(id, tostring(ok and err or done)))
    vim.cmd("redraw | sleep 2") -- for it to be read
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
