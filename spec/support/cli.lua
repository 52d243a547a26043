-- Runs the wrenn command as a process of its own, with the Lua of the specs.

local compat = require("spec.support.compat")

local cli = {}

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end
cli.quoted = quoted

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  os.remove(path)
  return text
end

--- Assignments for env(1) that point the command at a server, or at none.
function cli.environment(server)
  return ("env -u WRENN_CAPSULE -u NO_COLOR -u WRENN_API_KEY -u WRENN_BASE_URL"
    .. " XDG_RUNTIME_DIR=/nonexistent WRENN_LUA=%s %s"):format(
    quoted(compat.lua), server and ("WRENN_BASE_URL=%s WRENN_API_KEY=%s")
      :format(server.url, server.key) or "")
end

--- Runs a command line, which is the shell's. `opts`: stdin (a file,
--- /dev/null), env (further assignments). Returns {out, err, status}.
function cli.run(server, line, opts)
  opts = opts or {}
  local out, err = os.tmpname(), os.tmpname()
  local command = ("%s %s bin/wrenn %s <%s >%s 2>%s; echo $?"):format(
    cli.environment(server), opts.env or "", line, opts.stdin or "/dev/null",
    out, err)
  local status = tonumber(compat.output_of(command))
  return { out = read(out), err = read(err), status = status }
end

return cli
