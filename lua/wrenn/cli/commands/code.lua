-- wrenn code ID FILE

local FORMATS = { { "png", "png", true }, { "jpeg", "jpg", true },
  { "gif", "gif", true }, { "pdf", "pdf", true }, { "svg", "svg" },
  { "html", "html" } }

local function read(ctx, path)
  if path == "-" then
    return io.stdin:read("*a")
  end
  local file, why = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then
    file:close()
  end
  if not text then
    ctx:fail("FILE: %s", why or path .. " cannot be read")
  end
  return text
end

-- The code cells of a notebook.
local function notebook(ctx, text)
  local book = require("wrenn.wire.json").decode(text)
  if type(book) ~= "table" or type(book.cells) ~= "table" then
    ctx:fail("FILE: it is no notebook")
  end
  local cells = {}
  for _, cell in ipairs(book.cells) do
    if cell.cell_type == "code" then
      cells[#cells + 1] = type(cell.source) == "table"
        and table.concat(cell.source) or tostring(cell.source)
    end
  end
  return cells
end

-- The cells of a script: a line that begins with "# %%" begins another.
local function script(text)
  local cells, lines = {}, {}
  if text:sub(-1) ~= "\n" then
    text = text .. "\n"
  end
  for line in text:gmatch("(.-)\n") do
    if line:find("^# ?%%%%") then
      cells[#cells + 1] = table.concat(lines, "\n")
      lines = {}
    end
    lines[#lines + 1] = line
  end
  cells[#cells + 1] = table.concat(lines, "\n")
  local code = {}
  for _, cell in ipairs(cells) do
    if cell:gsub("^# ?%%%%[^\n]*", ""):find("%S") then
      code[#code + 1] = cell
    end
  end
  return code
end

-- Writes what a result shows to files. Returns their names.
local function save(ctx, result, folder, number)
  local names = {}
  for _, format in ipairs(FORMATS) do
    local data = result[format[1]]
    if type(data) == "string" and (format[1] ~= "html" or not names[1]) then
      if format[3] then
        data = require("wrenn").base64_decode(data) or ""
      end
      local name = ("%s/plot-%d.%s"):format(folder, number, format[2])
      local file, why = io.open(name, "wb")
      if not file or not file:write(data) or not file:close() then
        ctx:fail("a plot cannot be written: %s", why or name)
      end
      names[#names + 1] = name
    end
  end
  return names
end

local function run(ctx, args)
  local text = read(ctx, args.file)
  local cells = args.file:find("%.ipynb$") and notebook(ctx, text)
    or script(text)
  local Code = require("wrenn.code_runner").Capsule
  local capsule = ctx:check(Code.connect(ctx:id(args.id),
    { client = ctx:client(), kernel = args.kernel }))
  local plots = 0
  for number, cell in ipairs(cells) do
    local execution = ctx:check(capsule:run_code(cell, {
      timeout = args.timeout,
      on_stdout = not ctx.json and function(out)
        ctx:write(out)
        io.stdout:flush()
      end or nil,
      on_stderr = not ctx.json and function(out)
        io.stderr:write(out)
      end or nil,
    }))
    local files = require("wrenn.cli.json").array()
    for _, result in ipairs(execution.results) do
      local names = save(ctx, result, args.output or ".", plots + 1)
      plots = plots + (names[1] and 1 or 0)
      for _, name in ipairs(names) do
        files[#files + 1] = name
        if not ctx.json then
          ctx:say("wrote %s", name)
        end
      end
    end
    local failure = execution.error
    if ctx.json then
      ctx:emit({ cell = number, text = execution.text, files = files,
        stdout = table.concat(execution.logs.stdout),
        stderr = table.concat(execution.logs.stderr), error = failure })
    elseif execution.text and not files[1] then
      ctx:print(execution.text)
    end
    if failure then
      if not ctx.json then
        io.stderr:write(failure.traceback ~= "" and failure.traceback
          or failure.name .. ": " .. failure.value, "\n")
      end
      capsule:close()
      return execution.timed_out and 124 or 1
    end
  end
  capsule:close()
end

return {
  name = "code",
  summary = "Runs Python cells in a capsule and writes their plots",
  description = [[
FILE is a script, whose cells begin with lines such as "# %%", a notebook
(.ipynb), or - for stdin. The kernel keeps its variables between calls. Plots
become files plot-1.png and so on. The first cell that fails is the last: exit
status 1, or 124 after the time limit.]],
  operands = {
    { name = "ID", complete = "capsule", env = "WRENN_CAPSULE" },
    { name = "FILE", complete = "file" },
  },
  options = {
    { "output", short = "o", value = "DIR", complete = "directory",
      help = "where the plots go (here)" },
    { "timeout", value = "DURATION", type = "duration",
      help = "for each cell (30s)" },
    { "kernel", value = "NAME", help = "a kernel's name (python3)" },
  },
  examples = { { "echo 'print(6 * 7)' | wrenn code cl-3f -", "a line" } },
  streams = true,
  run = run,
}
