-- The server that `wrenn local start` leaves running: where its state is kept,
-- and whether it still runs.
--
-- The folder is $XDG_RUNTIME_DIR/wrenn, which belongs to the user alone; without
-- that variable one in /tmp named by the user's id, which must belong to them
-- and to nobody else. The files in it: url, key, pid, log, said.

local background = {}

local function read(path)
  local file = io.open(path, "r")
  local text = file and file:read("*a")
  if file then
    file:close()
  end
  return text
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end
background.quoted = quoted

local function uid()
  return read("/proc/self/status"):match("\nUid:%s*(%d+)")
end

--- The folder of the state.
function background.folder()
  local runtime = os.getenv("XDG_RUNTIME_DIR")
  if runtime and runtime:sub(1, 1) == "/" then
    return runtime .. "/wrenn"
  end
  return "/tmp/wrenn-" .. uid()
end

--- Whether a folder belongs to the user alone: whoever may write to it may choose
--- the server that gets our words.
function background.is_ours(folder)
  local pipe = io.popen("stat -c '%F %u %a' -- " .. quoted(folder)
    .. " 2>/dev/null")
  local line = pipe:read("*l")
  pipe:close()
  return line == "directory " .. uid() .. " 700"
end

-- The start of a process in ticks: with the pid it is the process for good.
function background.ticks(pid)
  local stat = read("/proc/" .. pid .. "/stat")
  local fields, i = stat and stat:match("^.*%)%s(.*)$") or "", 2
  for field in fields:gmatch("%S+") do
    i = i + 1
    if i == 22 then
      return field
    end
  end
end

--- What is known of the server that was started last: {url, key, pid, folder,
--- running}; nil if there is nothing.
function background.state()
  local folder = background.folder()
  local text = read(folder .. "/state")
  if not text or not background.is_ours(folder) then
    return nil
  end
  local state = { folder = folder }
  for name, value in text:gmatch("(%w+) ([^\n]*)\n") do
    state[name] = value
  end
  if not (state.url and state.key and state.pid and state.ticks) then
    return nil
  end
  state.running = background.ticks(state.pid) == state.ticks
  return state
end

--- The server if it runs.
function background.find()
  local state = background.state()
  return state and state.running and state or nil
end

--- Whether nobody has been told yet that this server is used.
function background.is_news(state)
  local path = state.folder .. "/said"
  local file = io.open(path, "r")
  if file then
    file:close()
    return false
  end
  file = io.open(path, "w")
  if file then
    file:close()
  end
  return true
end

return background
