-- The split for the output of :WrennRun: one window, and a buffer for each run.

local config = require("wrenn_nvim.config")

local api = vim.api

local Output = {}
Output.__index = Output

local M = {}

-- Milliseconds between two updates of the buffer, so that many small pieces of
-- output are shown together.
local PAUSE = 20

local window

--- Opens the split, or reuses its window. The cursor does not move.
function M.open()
  local buffer = api.nvim_create_buf(false, true)
  vim.bo[buffer].bufhidden = "wipe"
  vim.bo[buffer].undolevels = -1
  api.nvim_buf_set_name(buffer, "wrenn://run/" .. buffer)
  if window and api.nvim_win_is_valid(window) then
    api.nvim_win_set_buf(window, buffer)
  else
    local before = api.nvim_get_current_win()
    vim.cmd(config.values.split)
    window = api.nvim_get_current_win()
    api.nvim_win_set_buf(window, buffer)
    api.nvim_set_current_win(before)
  end
  return setmetatable({ buffer = buffer, pieces = {}, rest = "" }, Output)
end

-- Returns a line without colours, and with the last state of a progress bar only.
local function clean(line)
  if not line:find("[\r\27]") then
    return line
  end
  line = line:gsub("\27%[[%d;:?]*[%a@]", "")
    :gsub("\27%][^\7\27]*[\7\27]\\?", "")
  return (line:gsub("\r+$", ""):match("[^\r]*$"))
end

-- Returns the windows whose cursor is at the end: these scroll with the output.
local function followers(buffer, last)
  local list = {}
  for _, one in ipairs(vim.fn.win_findbuf(buffer)) do
    if api.nvim_win_get_cursor(one)[1] == last then
      list[#list + 1] = one
    end
  end
  return list
end

local function flush(self)
  self.waiting = false
  if not api.nvim_buf_is_valid(self.buffer) then
    return
  end
  local lines = vim.split(self.rest .. table.concat(self.pieces), "\n",
    { plain = true })
  self.pieces = {}
  self.rest = lines[#lines]:match("[^\r]*\r*$") -- the line may continue
  for i = 1, #lines do
    lines[i] = clean(lines[i])
  end
  local last = api.nvim_buf_line_count(self.buffer)
  local following = followers(self.buffer, last)
  api.nvim_buf_set_lines(self.buffer, -2, -1, true, lines)
  for _, one in ipairs(following) do
    api.nvim_win_set_cursor(one, { last + #lines - 1, 0 })
  end
end

--- Adds text at the end.
function Output:write(text)
  self.pieces[#self.pieces + 1] = text
  if not self.waiting then
    self.waiting = true
    vim.defer_fn(function()
      flush(self)
    end, PAUSE)
  end
end

--- Adds a last line, in brackets.
function Output:finish(text)
  flush(self)
  self:write(("%s[%s]"):format(self.rest == "" and "" or "\n", text))
end

return M
