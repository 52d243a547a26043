-- :WrennRun, :WrennRerun, :WrennKill.

local config = require("wrenn_nvim.config")
local output = require("wrenn_nvim.output")
local session = require("wrenn_nvim.session")
local wrenn = require("wrenn")

local api = vim.api

local M = {}

local last -- the program and the code of the run before
local running, shown -- the task of the newest run, and its output

-- Returns the selected characters or block; a range only contains lines.
local function yank()
  local view, z = vim.fn.winsaveview(), vim.fn.getreginfo("z")
  local unnamed = vim.fn.getreginfo('"')
  vim.cmd([[noautocmd silent keepjumps normal! gv"zy]])
  local lines = vim.fn.getreg("z", 1, true)
  vim.fn.setreg("z", z)
  vim.fn.setreg('"', unnamed)
  vim.fn.winrestview(view)
  return lines
end

local function lines_of(args)
  if args.range == 2 and vim.fn.visualmode():find("[v\22]")
    and args.line1 == vim.fn.line("'<") and args.line2 == vim.fn.line("'>")
  then
    return yank()
  end
  return api.nvim_buf_get_lines(0, args.line1 - 1, args.line2, false)
end

local function start(program, code)
  last = { program = program, code = code }
  local out = output.open()
  local path = "/tmp/nvim-" .. out.buffer
  local function show(text)
    out:write(text)
  end
  local task
  task = session.attempt(function()
    local own = session.get()
    wrenn.check(own.files:write(path, code))
    local result = wrenn.check(own.commands:run(program .. " " .. path, {
      timeout = false, on_stdout = show, on_stderr = show,
    }))
    running = running ~= task and running or nil
    out:finish("exit " .. result.exit_code)
  end, function(err)
    running = running ~= task and running or nil
    out:finish("failed: " .. tostring(err))
  end)
  running, shown = task, out
  api.nvim_create_autocmd("BufWipeout", {
    buffer = out.buffer,
    callback = function()
      task:cancel()
    end,
  })
end

--- :[range]WrennRun [program]: runs the lines or the selection with the program,
--- or with the one for the file type, and streams the output into a split.
--- Closing the split, or another run, kills the program.
function M.run(args)
  local kind = vim.bo.filetype
  local program = args.args ~= "" and args.args or config.values.programs[kind]
  if not program then
    return session.notify(("what runs '%s'? Try :WrennRun PROGRAM")
      :format(kind))
  end
  start(program, table.concat(lines_of(args), "\n") .. "\n")
end

--- :WrennRerun: the same code with the same program again.
function M.rerun()
  if not last then
    return session.notify("nothing has been run yet")
  end
  start(last.program, last.code)
end

--- :WrennKill: kills the program; its output stays.
function M.kill()
  if running then
    running:cancel()
    running = nil
    shown:finish("killed")
  end
end

return M
