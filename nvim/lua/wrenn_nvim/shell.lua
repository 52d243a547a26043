-- :WrennShell.

local session = require("wrenn_nvim.session")
local wrenn = require("wrenn")

local api = vim.api

local M = {}

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
      session.attempt(function()
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
  session.attempt(function()
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
  local own = session.get()
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
  local running = session.attempt(function()
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

local events = { "VimResized", "WinScrolled", "WinEnter" }
if vim.fn.exists("##WinResized") == 1 then -- from 0.9 on
  events[#events + 1] = "WinResized"
end
api.nvim_create_autocmd(events, {
  group = api.nvim_create_augroup("wrenn_shell", {}),
  callback = vim.schedule_wrap(fit),
})

return M
