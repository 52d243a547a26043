-- How busted tells what it does, for run-tests.sh: a line for each test, begun
-- before the test is, so that the last line of a run that hangs is the culprit;
-- then what failed, and why something was skipped that says so; then
-- "N passed, N failed", with ", N skipped" where some were.

local pretty = require("pl.pretty")

local function text_of(message)
  if message == nil then
    return "raised nil"
  elseif type(message) == "string" then
    return message
  end
  local meta = getmetatable(message)
  return meta and meta.__tostring and tostring(message) or pretty.write(message)
end

local function describe_failure(failure)
  local trace = failure.element.trace or failure.trace or {}
  io.write("\nFAILED ", failure.name, "\n  ", trace.short_src or "?", ":",
    tostring(trace.currentline or "?"), "\n")
  io.write("  ", (text_of(failure.message):gsub("\n", "\n  ")), "\n")
  if failure.isError and failure.trace and failure.trace.traceback then
    io.write("  ", (failure.trace.traceback:gsub("\n", "\n  ")), "\n")
  end
end

return function()
  local busted = require("busted")
  local handler = require("busted.outputHandlers.base")()

  local function on_test_start(element)
    io.write(handler.getFullName(element), " ... ")
    io.flush()
    return nil, true
  end

  local function on_test_end(element, _, status)
    io.write(status, (" (%.0f ms)\n"):format((element.duration or 0) * 1000))
    io.flush()
    return nil, true
  end

  local function on_suite_end()
    for _, list in ipairs({ handler.failures, handler.errors }) do
      for _, failure in ipairs(list) do
        describe_failure(failure)
      end
    end
    for _, one in ipairs(handler.pendings) do
      if type(one.message) == "string" then
        io.write("\nSKIPPED ", one.name, ": ", one.message:gsub("%s+", " "),
          "\n")
      end
    end
    local skipped = handler.pendingsCount
    io.write(("\n%d passed, %d failed%s\n"):format(handler.successesCount,
      handler.failuresCount + handler.errorsCount,
      skipped > 0 and (", %d skipped"):format(skipped) or ""))
    io.flush()
    return nil, true
  end

  busted.subscribe({ "test", "start" }, on_test_start)
  busted.subscribe({ "test", "end" }, on_test_end)
  busted.subscribe({ "suite", "end" }, on_suite_end)
  return handler
end
