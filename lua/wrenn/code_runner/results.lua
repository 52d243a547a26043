--- The results of running code. No I/O: a kernel's messages in, tables out.

local results = {}

-- In the order that formats() returns.
local fields = {
  { "text", "text/plain" }, { "html", "text/html" },
  { "markdown", "text/markdown" }, { "svg", "image/svg+xml" },
  { "png", "image/png" }, { "jpeg", "image/jpeg" }, { "gif", "image/gif" },
  { "pdf", "application/pdf" }, { "latex", "text/latex" },
  { "json", "application/json" },
  { "javascript", "application/javascript" },
  { "plotly", "application/vnd.plotly.v1+json" },
}

local field_of = {}
for _, field in ipairs(fields) do
  field_of[field[2]] = field[1]
end

---@class wrenn.code_runner.Result
---@field text? string        the repr of the value
---@field html? string       a page, or a part of one
---@field svg? string        a drawing, as text
---@field png? string         base64, as the other images and pdf: see
---  wrenn.base64_decode
---@field jpeg? string       a picture, in base64
---@field gif? string        likewise
---@field pdf? string        a document, in base64
---@field latex? string      a formula
---@field json? any          decoded
---@field javascript? string  a program for a browser
---@field plotly? any        a figure, decoded
---@field extra? table<string, any>  other formats by MIME type
---@field is_main_result boolean     the value of the cell, not displayed output
local Result = {}
Result.__index = Result

--- Returns the names of the formats that the result has.
---@return string[]
function Result:formats()
  local names = {}
  for _, field in ipairs(fields) do
    if self[field[1]] ~= nil then
      names[#names + 1] = field[1]
    end
  end
  local others = {}
  for mime in pairs(self.extra or {}) do
    others[#others + 1] = mime
  end
  table.sort(others)
  for _, mime in ipairs(others) do
    names[#names + 1] = mime
  end
  return names
end

--- Creates a result from values by MIME type.
function results.from_bundle(bundle, is_main_result)
  local result = { is_main_result = is_main_result or false }
  for mime, value in pairs(type(bundle) == "table" and bundle or {}) do
    local name = field_of[mime]
    if name then
      result[name] = value
    else
      result.extra = result.extra or {}
      result.extra[mime] = value
    end
  end
  return setmetatable(result, Result)
end

---@class wrenn.code_runner.Error
---@field name string       e.g. "ValueError"; "Timeout", "Disconnected"
---@field value string     its message
---@field traceback string  as Python prints it

---@class wrenn.code_runner.Execution
---@field results wrenn.code_runner.Result[]  the value of the cell, and what it displayed
---@field logs {stdout: string[], stderr: string[]}  as received, in pieces
---@field error? wrenn.code_runner.Error  if it failed
---@field execution_count? integer  if the cell had a value
---@field timed_out boolean  the execution had not ended in time
---@field text? string       that of the main result
---@field err? wrenn.Error    with "Disconnected": what became of the capsule; its
---  `status`, where it is known

function results.execution()
  return { results = {}, logs = { stdout = {}, stderr = {} },
    timed_out = false }
end

local function call(callback, value)
  if callback then
    callback(value)
  end
end

--- Records an error and calls on_error.
function results.fail(execution, callbacks, name, value, traceback)
  execution.error = { name = name, value = value, traceback = traceback or "" }
  call(callbacks.on_error, execution.error)
end

local function take_result(execution, callbacks, content, is_main)
  local result = results.from_bundle(content.data, is_main)
  table.insert(execution.results, result)
  if is_main then
    execution.execution_count = content.execution_count
    execution.text = execution.text or result.text
  end
  call(callbacks.on_result, result)
end

local takers = {}

function takers.stream(execution, callbacks, content)
  local name = content.name == "stderr" and "stderr" or "stdout"
  if type(content.text) == "string" then
    table.insert(execution.logs[name], content.text)
    call(callbacks["on_" .. name], content.text)
  end
end

function takers.execute_result(execution, callbacks, content)
  take_result(execution, callbacks, content, true)
end

function takers.display_data(execution, callbacks, content)
  take_result(execution, callbacks, content, false)
end

-- The exception raised by an interrupt after the time limit is not the cell's.
function takers.error(execution, callbacks, content)
  if execution.timed_out then
    return
  end
  local lines = type(content.traceback) == "table" and content.traceback or {}
  results.fail(execution, callbacks, content.ename or "",
    content.evalue or "", table.concat(lines, "\n"))
end

function takers.status(_, _, content)
  return content.execution_state == "idle"
end

--- Handles a message that belongs to the execution. Returns true at its end.
--- callbacks: on_result, on_stdout, on_stderr, on_error.
function results.take(execution, callbacks, message)
  local taker = takers[message.type]
  return taker and taker(execution, callbacks, message.content) or false
end

return results
