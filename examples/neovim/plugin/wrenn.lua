-- :WrennRun, :WrennShell and :WrennStop. See README.md.

local function define(name, fn, attributes)
  vim.api.nvim_create_user_command(name, function(args)
    require("wrenn_nvim")[fn](args)
  end, attributes)
end

define("WrennRun", "run", { range = "%", nargs = "?" })
define("WrennShell", "shell", {})
define("WrennStop", "stop", {})
