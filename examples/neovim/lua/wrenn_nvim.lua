-- What the commands do. All of it runs in tasks: the editor never waits.

local wrenn = require("wrenn")

local M = {}

local capsule -- one for the session, made when it is first needed
local making -- the task that makes it

local programs = {
  lua = "lua", python = "python3", sh = "sh", bash = "bash",
  javascript = "node", perl = "perl", ruby = "ruby",
}

-- An error is shown, not raised: nobody is there to catch it.
local function show_errors(fn)
  wrenn.task.spawn(function()
    local ok, err = pcall(fn)
    if not ok then
      vim.notify("wrenn: " .. tostring(err), vim.log.levels.ERROR)
    end
  end)
end

local function get_capsule()
  if not capsule then
    making = making or wrenn.task.spawn(wrenn.Capsule.create, { wait = true })
    local made, err = making:wait()
    making = nil
    capsule = wrenn.check(made, err)
  end
  return capsule
end

local function open_split(name)
  vim.cmd("botright new")
  local buffer = vim.api.nvim_get_current_buf()
  vim.bo[buffer].buftype = "nofile"
  vim.bo[buffer].bufhidden = "wipe"
  vim.api.nvim_buf_set_name(buffer, name .. " " .. buffer)
  return buffer
end

-- Adds text where the buffer ends: output comes in pieces, not in lines.
local function append(buffer, text)
  if not vim.api.nvim_buf_is_valid(buffer) then
    return false
  end
  local last = vim.api.nvim_buf_get_lines(buffer, -2, -1, true)[1]
  local lines = vim.split(last .. text, "\n", { plain = true })
  vim.api.nvim_buf_set_lines(buffer, -2, -1, true, lines)
  return true
end

--- :[range]WrennRun [program]: runs the lines with the program, or with what
--- fits the file type, and streams the output into a split. Closing that
--- buffer kills the program.
function M.run(args)
  local lines = vim.api.nvim_buf_get_lines(0, args.line1 - 1, args.line2, false)
  local program = args.args ~= "" and args.args or programs[vim.bo.filetype]
    or "sh"
  local buffer = open_split("wrenn run")
  show_errors(function()
    local c = get_capsule()
    local path = "/tmp/nvim-" .. buffer
    wrenn.check(c.files:write(path, table.concat(lines, "\n") .. "\n"))
    local stream = wrenn.check(c.commands:stream(program, { args = { path } }))
    for ev in stream do
      if ev.data and not append(buffer, ev.data) then
        c.commands:kill(stream.pid)
        break
      end
    end
    stream:close()
    append(buffer, ("[exit %s]"):format(tostring(stream.exit_code)))
  end)
end

--- :WrennShell: a shell in the capsule, in a terminal buffer.
function M.shell()
  vim.cmd("botright new")
  local buffer = vim.api.nvim_get_current_buf()
  local window = vim.api.nvim_get_current_win()
  local term
  local channel = vim.api.nvim_open_term(buffer, {
    on_input = function(_, _, _, bytes)
      if term then
        show_errors(function()
          wrenn.check(term:write(bytes))
        end)
      end
    end,
  })
  local cols = vim.api.nvim_win_get_width(window)
  local rows = vim.api.nvim_win_get_height(window)
  show_errors(function()
    term = wrenn.check(get_capsule():pty({
      cols = cols, rows = rows, envs = { TERM = "xterm-256color" },
    }))
    vim.api.nvim_create_autocmd("BufWipeout", {
      buffer = buffer,
      callback = function()
        show_errors(function()
          term:kill()
          term:close()
        end)
      end,
    })
    vim.api.nvim_create_autocmd("VimResized", {
      callback = function()
        if vim.api.nvim_win_is_valid(window) and not term.exit_code then
          term:resize(vim.api.nvim_win_get_width(window),
            vim.api.nvim_win_get_height(window))
        end
      end,
    })
    for ev in term do
      if ev.type == "output" and vim.api.nvim_buf_is_valid(buffer) then
        vim.api.nvim_chan_send(channel, ev.data)
      end
    end
    if vim.api.nvim_buf_is_valid(buffer) then
      vim.api.nvim_chan_send(channel, "\r\n[the shell has ended]\r\n")
    end
  end)
end

--- :WrennStop, and when Neovim ends: the capsule is destroyed.
function M.stop()
  local old = capsule
  capsule = nil
  if old then
    wrenn.check(old:destroy())
  end
end

vim.api.nvim_create_autocmd("VimLeavePre", { callback = M.stop })

return M
