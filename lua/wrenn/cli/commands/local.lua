-- wrenn local start|stop|status|env. `wrenn local [OPTION...] [-- COMMAND]`
-- itself is bin/wrenn's, which becomes wrenn-local then.

local background = require("wrenn.cli.background")
local quoted = background.quoted

-- The options of wrenn-local that are passed on.
local PASSED = { "listen", "data", "generation", "isolation", "network",
  "system", "uids", "user" }

local function sh(command)
  local pipe = io.popen(command .. "; echo $?")
  local text = pipe:read("*a")
  pipe:close()
  local output, status = text:match("^(.*)(%d+)\n$")
  return tonumber(status), output
end

-- A path that still leads there from another folder. A name without a folder is
-- one for PATH.
local function absolute(path)
  if path:sub(1, 1) == "/" then
    return path
  end
  local _, here = sh("pwd -P")
  return here:gsub("\n$", "") .. "/" .. path
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end

local function write(ctx, path, text)
  local file, why = io.open(path, "wb")
  if not file then
    ctx:fail("cannot keep the server's state: %s", why)
  end
  file:write(text)
  file:close()
end

local function new_key()
  local file = io.open("/dev/urandom", "rb")
  local bytes = file:read(16)
  file:close()
  return "wrn_" .. bytes:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end)
end

-- Makes the folder, and makes sure of it: whoever else may write to it could
-- choose the server that gets our words.
local function open_folder(ctx)
  local folder = background.folder()
  sh("umask 077; mkdir -p -- " .. quoted(folder) .. " 2>/dev/null")
  if not background.is_ours(folder) then
    ctx:fail("%s must be a folder of yours alone (mode 700)", folder)
  end
  return folder
end

-- One start at a time: making a folder succeeds once.
local function lock(ctx, folder)
  local path = quoted(folder .. "/starting")
  if sh("mkdir " .. path .. " 2>/dev/null") ~= 0 then
    -- What is as old as this was left behind.
    sh("find " .. path .. " -maxdepth 0 -mmin +1 -exec rmdir {} + 2>/dev/null")
    if sh("mkdir " .. path .. " 2>/dev/null") ~= 0 then
      ctx:fail("another `wrenn local start` is under way")
    end
  end
  return function()
    sh("rmdir " .. path .. " 2>/dev/null")
  end
end

-- Starts the server in a session of its own, so that neither Ctrl-C nor the end
-- of the terminal reaches it. Returns its pid and URL.
local function launch(ctx, args, folder)
  local program = os.getenv("WRENN_LOCAL") or "wrenn-local"
  if program:find("/", 1, true) then
    program = absolute(program)
  end
  local words = { quoted(program), "--api-key-file",
    quoted(folder .. "/key") }
  for _, name in ipairs(PASSED) do
    if args[name] then
      words[#words + 1] = "--" .. name .. " " .. quoted(args[name])
    end
  end
  if args.lenient then
    words[#words + 1] = "--lenient"
  end
  -- It tells its pid, and then announces itself, on the pipe, which then may
  -- break.
  local pipe = io.popen(("umask 077; cd /; sh -c 'echo $$; exec setsid \"$@\"'"
    .. " sh %s </dev/null 2>%s &")
    :format(table.concat(words, " "), quoted(folder .. "/log")))
  local pid, line = pipe:read("*l"), pipe:read("*l")
  pipe:close()
  local url = line and line:match("(http://%S+)")
  if not url then
    local why = read(folder .. "/log"):gsub("%s+$", "")
    ctx:fail("%s", why ~= "" and why:gsub("^wrenn%-local: ", "")
      or "the server did not start")
  end
  return pid, url
end

local function start_new(ctx, args, folder)
  local key = new_key()
  os.remove(folder .. "/said")
  sh("umask 077; : >" .. quoted(folder .. "/key"))
  write(ctx, folder .. "/key", key .. "\n")
  local pid, url = launch(ctx, args, folder)
  local new = folder .. "/state.new"
  sh("umask 077; : >" .. quoted(new))
  write(ctx, new, ("url %s\nkey %s\npid %s\nticks %s\n")
    :format(url, key, pid, background.ticks(pid) or "0"))
  os.rename(new, folder .. "/state")
  return { url = url, pid = pid }
end

local function show(ctx, state)
  if ctx.json then
    ctx:emit({ running = true, url = state.url, pid = tonumber(state.pid) })
  else
    ctx:print(state.url)
  end
end

local function start(ctx, args)
  args.data = args.data and absolute(args.data)
  if args.system and args.system ~= "host" then
    args.system = absolute(args.system)
  end
  local folder = open_folder(ctx)
  local unlock = lock(ctx, folder)
  local ok, raised = pcall(function()
    local state = background.find()
    if state then
      ctx:say("the server runs already")
    else
      state = start_new(ctx, args, folder)
      ctx:say("the commands use this server where WRENN_API_KEY is not set")
    end
    show(ctx, state)
  end)
  unlock()
  if not ok then
    error(raised, 0)
  end
end

local function stop(ctx)
  local state = background.find()
  if not state then
    ctx:say("no server runs")
    return
  end
  sh("kill -TERM " .. state.pid .. " 2>/dev/null")
  sh("timeout 30 tail -s 0.02 -f /dev/null --pid=" .. state.pid)
  if background.ticks(state.pid) == state.ticks then
    ctx:fail("the server (process %s) does not end", state.pid)
  end
  for _, name in ipairs({ "state", "key", "log", "said" }) do
    os.remove(state.folder .. "/" .. name)
  end
end

local function status(ctx)
  local state = background.find()
  if state then
    show(ctx, state)
    return 0
  elseif ctx.json then
    ctx:emit({ running = false })
  else
    ctx:print("no server runs")
  end
  return 1
end

local function env(ctx)
  local state = background.find()
  if not state then
    ctx:fail("no server runs: wrenn local start")
  elseif ctx.json then
    ctx:emit({ WRENN_BASE_URL = state.url, WRENN_API_KEY = state.key })
    return
  end
  ctx:print("export WRENN_BASE_URL=" .. quoted(state.url))
  ctx:print("export WRENN_API_KEY=" .. quoted(state.key))
end

return {
  name = "local",
  summary = "Runs capsules on this machine",
  description = [[
`wrenn local -- COMMAND` runs a server for as long as the command does, which
finds it by WRENN_BASE_URL and WRENN_API_KEY. Its options before `--` are those
of wrenn-local: see wrenn-local --help.

`wrenn local start` leaves a server running in the background. The other
commands find it by themselves where WRENN_API_KEY is not set.]],
  -- Not one of these: bin/wrenn does it.
  also = { "local [OPTION...] [-- COMMAND...]",
    "Runs a server, for as long as the command" },
  subcommands = {
    {
      name = "start", summary = "Starts a server in the background",
      offline = true,
      options = {
        { "listen", value = "ADDRESS:PORT", help = "(127.0.0.1, a free port)" },
        { "data", value = "DIR", complete = "directory",
          help = "where capsules are kept (a temporary folder)" },
        { "generation", value = "G", help = "of the API (0.2)",
          choices = { "0.1", "0.2", "0.2.2", "0.3", "0.4" } },
        { "isolation", value = "HOW", choices = { "bwrap", "none" },
          help = "of capsules from this machine" },
        { "network", value = "HOW", help = "of capsules (outgoing)",
          choices = { "outgoing", "none", "host" } },
        { "system", value = "DIR", complete = "directory",
          help = "a tree that capsules begin as (the host's system)" },
        { "uids", value = "HOW", choices = { "one", "range" },
          help = "that such systems have (one)" },
        { "user", value = "USER", choices = { "root", "wrenn-user" },
          help = "that commands run as" },
        { "lenient", help = "friendlier answers than the real servers give" },
      },
      run = start,
    },
    { name = "stop", summary = "Ends it, with its capsules", offline = true,
      run = stop },
    { name = "status", summary = "Says whether it runs, and its URL",
      description = "Exits with 1 if no server runs.", offline = true,
      run = status },
    { name = "env", summary = "Prints its variables for a shell",
      offline = true, run = env,
      examples = { { 'eval "$(wrenn local env)"', "for this shell" } } },
  },
  examples = {
    { "wrenn local -- lua script.lua", "a server for one program" },
    { "wrenn local start", "a server for all commands" },
  },
}
