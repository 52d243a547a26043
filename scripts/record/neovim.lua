-- Runs both commands of nvim as a user would and writes what the
-- screen showed to the file that WRENN_SCREEN names.

package.path = "scripts/record/?.lua;" .. package.path

local session = require("session")

local CODE = [[
import platform, time

for step in "fetch", "build", "test":
    print(step, "...")
    time.sleep(0.5)
print("done on", platform.node())
]]

local PROMPT = "root@capsule:~#"

local folder = vim.fn.tempname()
vim.fn.mkdir(folder)
vim.fn.writefile(vim.split(CODE:gsub("\n$", ""), "\n"), folder .. "/steps.py")

session.record("wrenn in Neovim", { "--embed", "--clean", "-n", "--cmd",
  "set rtp+=" .. vim.fn.getcwd() .. "/nvim",
  "-c", "colorscheme desert", "steps.py" }, folder, 24, function(take, screen)
  take(1.5, "platform%.node%(%)%)")
  screen:type(":WrennRun")
  take(1, ":WrennRun")
  screen:type("<CR>")
  take(0.5, "fetch %.%.%.")
  take(0.5, "build %.%.%.")
  take(0.5, "test %.%.%.")
  take(2, "%[exit 0%]")
  screen:type(":WrennShell")
  take(1, ":WrennShell")
  screen:type("<CR>i")
  take(1, PROMPT)
  screen:type("echo six times seven is $((6*7))")
  take(1, "%$%(%(6%*7%)%)")
  screen:type("<CR>")
  take(1, "is 42 +\n" .. PROMPT)
  screen:type("mkdir src; ls --color")
  take(1, "ls %-%-color")
  screen:type("<CR>")
  take(4, "\nsrc +\n" .. PROMPT)
  screen:type("<C-\\><C-n>:qa<CR>")
end)
