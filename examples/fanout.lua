-- A test matrix: the same script in one capsule for each setting, some at a
-- time, with a status line that moves while they run.
--   lua examples/fanout.lua [how many]

local wrenn = require("wrenn")

local count = tonumber(arg and arg[1]) or 6
local AT_ONCE = 4

local state = {}
for i = 1, count do
  state[i] = "."
end

local function show()
  io.stdout:write("\r", table.concat(state))
  io.stdout:flush()
end

local SCRIPT = [[
echo "suite $SUITE"
for step in 1 2 3; do sleep 0.1; echo "step $step"; done
test "$SUITE" != 3
]]

-- Runs one suite in a capsule of its own; its capsule is gone afterwards.
local function run_suite(number)
  local capsule, err = wrenn.Capsule.create({ wait = true })
  if not capsule then
    return nil, err
  end
  return wrenn.with(capsule, function()
    local steps = 0
    local result
    result, err = capsule.commands:run(SCRIPT, {
      envs = { SUITE = tostring(number) }, timeout = 60,
      on_stdout = function(text)
        steps = steps + select(2, text:gsub("step", ""))
        state[number] = tostring(steps)
        show()
      end,
    })
    if not result then
      return nil, err
    end
    state[number] = result.exit_code == 0 and "+" or "-"
    show()
    return result
  end)
end

local suites = {}
for i = 1, count do
  suites[i] = i
end
local results = wrenn.check(
  wrenn.task.map(suites, run_suite, { concurrency = AT_ONCE }))

local passed = 0
for number, result in ipairs(results) do
  if result.exit_code == 0 then
    passed = passed + 1
  else
    io.stdout:write(("\nsuite %d failed:\n%s"):format(number, result.stdout))
  end
end
print(("\n%d of %d passed"):format(passed, count))
