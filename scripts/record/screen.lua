-- An editor that runs with this one as its screen: what it draws is kept as a
-- grid of characters and colours.

local uv = vim.loop

local Screen = {}
Screen.__index = Screen

local screen = {}

-- ---- what is drawn ---------------------------------------------------------

local draw = {}

function draw.default_colors_set(self, fg, bg)
  self.fg = fg >= 0 and fg or self.fg
  self.bg = bg >= 0 and bg or self.bg
end

function draw.hl_attr_define(self, id, rgb)
  self.looks[id] = rgb
end

function draw.grid_resize(self, _, cols, rows)
  self.cols, self.rows = cols, rows
end

function draw.grid_clear(self)
  for row = 1, self.rows do
    self.grid[row] = {}
    for col = 1, self.cols do
      self.grid[row][col] = { " ", 0 }
    end
  end
end

function draw.grid_cursor_goto(self, _, row, col)
  self.row, self.col = row + 1, col + 1
end

-- While it is busy, and in a terminal, which shows its own, there is no cursor.
function draw.busy_start(self)
  self.busy = true
end

function draw.busy_stop(self)
  self.busy = false
end

function draw.grid_line(self, _, row, col, cells)
  local look
  for _, cell in ipairs(cells) do
    look = cell[2] or look
    for _ = 1, cell[3] or 1 do
      col = col + 1
      self.grid[row + 1][col] = { cell[1], look }
    end
  end
end

function draw.grid_scroll(self, _, top, bottom, left, right, by)
  local first, last, step = top + 1, bottom - by, 1
  if by < 0 then
    first, last, step = bottom, top + 1 - by, -1
  end
  for row = first, last, step do
    for col = left + 1, right do
      self.grid[row][col] = self.grid[row + by][col]
    end
  end
end

-- What was drawn until here belongs together.
function draw.flush(self)
  self.seen = self:text()
end

-- ---- the wire --------------------------------------------------------------

local function on_message(self, message)
  if message[1] == 1 and message[3] ~= vim.NIL then
    self.failure = vim.inspect(message[3])
  elseif message[1] == 2 and message[2] == "redraw" then
    for _, event in ipairs(message[3]) do
      for i = draw[event[1]] and 2 or #event + 1, #event do
        draw[event[1]](self, unpack(event[i]))
      end
    end
  end
end

function Screen:request(method, ...)
  self.requests = self.requests + 1
  self.stdin:write(vim.mpack.encode({ 0, self.requests, method, { ... } }))
end

--- Types keys, as nvim_input takes them.
function Screen:type(keys)
  self:request("nvim_input", keys)
end

--- Starts the editor in a directory, with a screen of this size.
function screen.start(args, cwd, cols, rows)
  local self = setmetatable({
    stdin = uv.new_pipe(), requests = 0, grid = {}, looks = {}, seen = "",
    fg = 0xd0d0d0, bg = 0x1c1c1c, row = 1, col = 1, cols = cols, rows = rows,
  }, Screen)
  local stdout = uv.new_pipe()
  self.process = assert(uv.spawn(vim.v.progpath, {
    args = args, cwd = cwd, stdio = { self.stdin, stdout, 2 },
  }, function()
    self.ended = true
  end))
  local unpacker = vim.mpack.Unpacker()
  stdout:read_start(function(_, bytes)
    local at = 1
    while bytes and at <= #bytes do
      local message
      message, at = unpacker(bytes, at)
      if message ~= nil then
        on_message(self, message)
      end
    end
  end)
  self:request("nvim_ui_attach", cols, rows,
    { ext_linegrid = true, rgb = true })
  return self
end

-- ---- looking ---------------------------------------------------------------

--- What is to be read on it.
function Screen:text()
  local lines = {}
  for row = 1, #self.grid do
    local cells = {}
    for col = 1, self.cols do
      cells[col] = self.grid[row][col][1]
    end
    lines[row] = table.concat(cells)
  end
  return table.concat(lines, "\n")
end

--- Waits until what a pattern tells is to be read on it.
function Screen:wait(pattern)
  local found = vim.wait(60000, function()
    return self.failure or self.seen:find(pattern)
  end, 5)
  if not found or self.failure then
    error(("%s; waited for '%s' on\n%s"):format(self.failure or "timeout",
      pattern, self:text()), 0)
  end
end

--- Waits for the program's end.
function Screen:finish()
  return vim.wait(60000, function()
    return self.ended
  end, 5)
end

return screen
