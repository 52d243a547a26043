-- wrenn logs ID TAG

-- The sizes of what the command has printed so far; nil if it is not known.
local function sizes(ctx, capsule, handle)
  local function size(name)
    local entry, err =
      capsule.files:stat("~/.wrenn/" .. handle.folder .. "/" .. name)
    return ctx:check(entry, err).size
  end
  return size("out"), size("err")
end

-- Keeps the last lines of a text that comes in pieces.
local Tail = {}
Tail.__index = Tail

function Tail:add(data)
  self.text = self.text .. data
  local at, count = #self.text, 0
  if self.text:sub(-1) == "\n" then
    at = at - 1
  end
  while at > 0 do
    if self.text:byte(at) == 10 then
      count = count + 1
      if count == self.lines then
        break
      end
    end
    at = at - 1
  end
  self.text = self.text:sub(at + 1)
end

local function tail(lines)
  return setmetatable({ lines = lines, text = "" }, Tail)
end

local function put(ctx, kind, data)
  if data == "" then
    return
  elseif ctx.json then
    ctx:emit({ type = kind, data = data })
  elseif kind == "stdout" then
    ctx:write(data)
    io.stdout:flush()
  else
    io.stderr:write(data)
  end
end

local function run(ctx, args)
  local capsule = ctx:capsule(args.id)
  local handle = ctx:check(capsule.commands:durable(args.tag))
  local out, errs = sizes(ctx, capsule, handle)
  local seen = { stdout = 0, stderr = 0 }
  local kept = args.lines and { stdout = tail(args.lines),
    stderr = tail(args.lines) }
  local stream = handle:stream()
  local function print_kept()
    if kept then
      put(ctx, "stdout", args.lines > 0 and kept.stdout.text or "")
      put(ctx, "stderr", args.lines > 0 and kept.stderr.text or "")
      kept = nil
    end
  end
  while true do
    if seen.stdout >= out and seen.stderr >= errs then
      print_kept()
      if not args.follow then
        break
      end
    end
    local event, err = stream:read()
    if err then
      print_kept()
      ctx:check(nil, err)
    elseif not event then
      break
    elseif seen[event.type] then
      seen[event.type] = seen[event.type] + #event.data
      if kept then
        kept[event.type]:add(event.data)
      else
        put(ctx, event.type, event.data)
      end
    elseif event.type == "exit" and ctx.json then
      print_kept()
      ctx:emit({ type = "exit", exit_code = event.exit_code })
    end
  end
  print_kept()
  stream:close()
end

return {
  name = "logs",
  summary = "Prints what a detached command has printed",
  description = [[
For commands that `wrenn exec -d` has started: their output is kept in the
capsule. stdout and stderr stay apart.]],
  operands = {
    { name = "ID", complete = "capsule", env = "WRENN_CAPSULE" },
    { name = "TAG", complete = "process" },
  },
  options = {
    { "follow", short = "f", help = "go on until the command ends" },
    { "lines", short = "n", value = "N", type = "integer",
      help = "only the last N lines, of stdout and of stderr" },
  },
  streams = true,
  run = run,
}
