-- A test matrix: runs a script with several settings, each in a capsule of its
-- own and four at a time. The third suite fails, and the fifth hangs.
--
--   wrenn local -- lua examples/fanout.lua [suites [seconds for each]]
--
-- The exit code is 1 unless all have passed. Ctrl-C destroys the capsules.

local wrenn = require("wrenn")

local count = tonumber(arg and arg[1]) or 6
local limit = tonumber(arg and arg[2]) or 3
local AT_ONCE = 4

local SCRIPT = [[
echo "suite $SUITE"
for step in 1 2 3; do sleep 0.1; echo "step $step"; done
test "$SUITE" != 5 || sleep 600
test "$SUITE" != 3
]]

-- "+" (passed), "-" (failed) or "!" (it did not end).
local function show(number, what)
  io.stdout:write(("%s suite %d\n"):format(what, number))
  io.stdout:flush()
end

local function run_script(capsule, number)
  return capsule.commands:run(SCRIPT,
    { envs = { SUITE = tostring(number) }, timeout = limit })
end

-- If this program is killed, the capsule is paused after a minute without use.
local function create()
  return wrenn.Capsule.create({ wait = true, timeout = 60 })
end

-- Runs one suite in a capsule of its own. Errors are results, reported at the
-- end, so that they do not end the other suites.
local function run_suite(number)
  local capsule, err = create()
  local result
  if capsule then
    result, err = wrenn.with(capsule, function()
      return run_script(capsule, number)
    end)
  end
  if not result then
    show(number, "!")
    return { why = tostring(err), stdout = err.result and err.result.stdout }
  end
  show(number, result.exit_code == 0 and "+" or "-")
  return {
    passed = result.exit_code == 0, stdout = result.stdout,
    why = "exit code " .. result.exit_code,
  }
end

local suites = {}
for i = 1, count do
  suites[i] = i
end
local results = wrenn.check(
  wrenn.task.map(suites, run_suite, { concurrency = AT_ONCE }))

local passed = 0
for number, result in ipairs(results) do
  if result.passed then
    passed = passed + 1
  else
    io.stdout:write(("\nsuite %d: %s\n%s"):format(number, result.why,
      result.stdout or ""))
  end
end
print(("\n%d of %d passed"):format(passed, count))
os.exit(passed == count and 0 or 1)
