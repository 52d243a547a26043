-- The plugin's functions, one for each command. Nothing of the wrenn module is
-- loaded before one of them needs it.

local M = {}

local config = require("wrenn_nvim.config")

--- Sets options; see :help wrenn-setup. Not needed if the defaults will do.
function M.setup(options)
  config.set(options)
end

-- Calls a function of one of the plugin's files once the module is found.
local function needs_rock(file, name)
  return function(...)
    local wrenn, reason = require("wrenn_nvim.rock").load()
    if not wrenn then
      vim.notify("wrenn: the Lua module, built for LuaJIT, is not found; see"
        .. " :checkhealth wrenn: " .. tostring(reason):match("[^\n]*"),
        vim.log.levels.ERROR)
      return
    end
    return require("wrenn_nvim." .. file)[name](...)
  end
end

M.run = needs_rock("run", "run")
M.rerun = needs_rock("run", "rerun")
M.kill = needs_rock("run", "kill")
M.shell = needs_rock("shell", "shell")
M.select = needs_rock("select", "select")
M.edit = needs_rock("file", "edit")
M.read_file = needs_rock("file", "read")
M.write_file = needs_rock("file", "write")

--- Starts a language server inside the capsule of the current wrenn:// buffer;
--- see :help wrenn-lsp.
M.lsp_start = needs_rock("lsp", "start")

M.stop = needs_rock("session", "stop")

--- For a status line: the session's capsule, or "".
function M.status()
  local session = package.loaded["wrenn_nvim.session"]
  return session and session.status() or ""
end

return M
