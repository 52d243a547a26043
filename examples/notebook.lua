-- Runs a notebook: the cells of a Python file, which begin with "# %%", one
-- after the other in a kernel. Shows what they print and return; plots and
-- pictures become files in a folder.
--
--   wrenn local -- lua examples/notebook.lua [notebook [folder]]

local wrenn = require("wrenn")

local check = wrenn.check
local path = arg and arg[1] or "examples/notebook.py"
local folder = arg and arg[2] or "."

local function read_cells()
  local cells = {}
  for line in io.lines(path) do
    local title = line:match("^# %%%%%s*(.*)")
    if title or #cells == 0 then
      cells[#cells + 1] = { title = title or "" }
    end
    table.insert(cells[#cells], line)
  end
  return cells
end

local count = 0

local function save(extension, bytes)
  count = count + 1
  local name = ("%s/plot-%d.%s"):format(folder, count, extension)
  local file = assert(io.open(name, "wb"))
  file:write(bytes)
  file:close()
  print("  wrote " .. name)
end

-- A plot arrives in several formats; drawings come as text, pictures in base64.
local function show(result)
  if result.svg then
    return save("svg", result.svg)
  end
  for _, format in ipairs({ "png", "jpeg", "gif", "pdf" }) do
    if result[format] then
      return save(format, check(wrenn.base64_decode(result[format])))
    end
  end
  print(result.text)
end

local function run_cell(code, cell)
  print("== " .. cell.title)
  local execution = check(code:run_code(table.concat(cell, "\n"), {
    timeout = 60,
    on_stdout = function(text)
      io.write(text)
    end,
    on_result = show,
  }))
  local failure = execution.error
  if failure then
    error(failure.traceback ~= "" and failure.traceback or failure.name, 0)
  end
end

local cells = read_cells()
local code = check(wrenn.code_runner.Capsule.create({ wait = true }))
wrenn.with(code, function()
  for _, cell in ipairs(cells) do
    run_cell(code, cell)
  end
end)
