-- :WrennRun, :WrennShell and :WrennStop. See README.md.

local HINT = "wrenn: the Lua module, built for LuaJIT, is not on package.path"
  .. " and package.cpath: "

local function define(name, fn, attributes)
  vim.api.nvim_create_user_command(name, function(args)
    local ok, plugin = pcall(require, "wrenn_nvim")
    if not ok then
      vim.notify(HINT .. plugin:match("[^\n]*"), vim.log.levels.ERROR)
      return
    end
    plugin[fn](args)
  end, attributes)
end

define("WrennRun", "run", { range = "%", nargs = "?" })
define("WrennShell", "shell", {})
define("WrennStop", "stop", {})
