-- Commands, <Plug> maps and wrenn:// buffers. See :help wrenn.

if vim.g.loaded_wrenn then
  return
end
vim.g.loaded_wrenn = true

local function call(name, ...)
  return require("wrenn_nvim")[name](...)
end

local function define(name, fn, attributes)
  vim.api.nvim_create_user_command(name, function(args)
    call(fn, args)
  end, attributes)
end

define("WrennRun", "run", { range = "%", nargs = "?" })
define("WrennRerun", "rerun", {})
define("WrennKill", "kill", {})
define("WrennShell", "shell", {})
define("WrennSelect", "select", {})
define("WrennEdit", "edit", { nargs = "?" })
define("WrennStop", "stop", {})

for _, name in ipairs({ "Rerun", "Kill", "Shell", "Select", "Stop" }) do
  vim.keymap.set("n", ("<Plug>(wrenn-%s)"):format(name:lower()),
    ("<Cmd>Wrenn%s<CR>"):format(name))
end
vim.keymap.set("n", "<Plug>(wrenn-run)", "<Cmd>WrennRun<CR>")
vim.keymap.set("x", "<Plug>(wrenn-run)", ":WrennRun<CR>", { silent = true })

local group = vim.api.nvim_create_augroup("wrenn_files", {})
local function on(event, fn)
  vim.api.nvim_create_autocmd(event, {
    group = group, pattern = "wrenn://cl-*/*", callback = function(args)
      call(fn, args.buf, args.match)
    end,
  })
end
on("BufReadCmd", "read_file")
on("BufWriteCmd", "write_file")
on("FileWriteCmd", "write_file")
