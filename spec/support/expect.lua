-- Assertions that many specs use.

local assert = require("luassert")
local core = require("wrenn.core")
local errors = require("wrenn.errors")
local scheduler = require("wrenn.task.scheduler")

local expect = {}

--- Asserts that a call has failed with an error of a type. Returns the error.
function expect.error(type_name, result, err)
  assert.is_nil(result)
  assert.is_true(errors.is_error(err), tostring(err))
  assert.is_true(err:is(type_name), tostring(err))
  return err
end

--- Waits until a function returns something other than false or nil, and
--- returns it. Fails after `seconds` (30). Tasks continue meanwhile.
function expect.soon(fn, seconds)
  local deadline = core.now() + (seconds or 30)
  while true do
    local value = fn()
    if value then
      return value
    end
    assert(core.now() < deadline, "it has not happened in time")
    assert(scheduler.sleep(0.02))
  end
end

return expect
