-- A CI helper: runs a project's tests with every combination of settings, each
-- in a capsule of its own, and collects their JUnit reports in a folder.
--
--   wrenn local -- lua examples/ci.lua [folder]
--
-- The exit code is 1 unless all have passed. Ctrl-C leaves no capsule behind,
-- whenever it comes: what a task has created it also destroys.

local wrenn = require("wrenn")

local folder = arg and arg[1] or "."
local AT_ONCE = 4

-- The first of each is the name of a variable, the others are its values.
local MATRIX = {
  { "SHELL_TO_TEST", "sh", "bash" },
  { "LC_ALL", "C", "C.UTF-8" },
}

-- A project would come from this machine: files:upload_dir(".", "project"), or
-- from a repository: git:clone(url, "project").
local PROJECT = {
  { path = "project/test_words.sh", data = "test $(echo a b | wc -w) = 2" },
  { path = "project/test_lists.sh", data = "a=(1 2 3); test ${#a[@]} = 3" },
  { path = "project/ci.sh", data = [[
tests=0 failures=0 cases=
for file in test_*.sh; do
  tests=$((tests + 1))
  if said=$($SHELL_TO_TEST $file 2>&1); then
    cases="$cases<testcase name='$file'/>"
  else
    failures=$((failures + 1))
    cases="$cases<testcase name='$file'><failure>$said</failure></testcase>"
  fi
done
echo "<testsuite name='$SHELL_TO_TEST $LC_ALL' tests='$tests'" \
  "failures='$failures'>$cases</testsuite>" >junit.xml
test $failures = 0
]] },
}

-- All combinations of the rows of a matrix from `first` on, as environments.
local function combine(matrix, first, settings, list)
  local row = matrix[first]
  if not row then
    list[#list + 1] = settings
    return list
  end
  for i = 2, #row do
    local more = { [row[1]] = row[i] }
    for name, value in pairs(settings) do
      more[name] = value
    end
    combine(matrix, first + 1, more, list)
  end
  return list
end

local function name_of(settings)
  local values = {}
  for i, row in ipairs(MATRIX) do
    values[i] = settings[row[1]]
  end
  return table.concat(values, "-")
end

local function save(name, text)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
  file:close()
end

-- Returns whether the tests have passed, or nil, err: they could not be run.
local function test(capsule, settings)
  local result, err = capsule.files:write_files(PROJECT)
  if result then
    result, err = capsule.commands:run("sh ci.sh",
      { cwd = "project", envs = settings, timeout = 60 })
  end
  local report = capsule.files:read("project/junit.xml")
  if report then -- also when the time was up
    save("junit-" .. name_of(settings) .. ".xml", report)
  end
  return result and result.exit_code == 0, err
end

-- An error is a result like others, so that it does not end the other jobs.
local function run_job(settings)
  local capsule, err = wrenn.Capsule.create({ wait = true, timeout = 60 })
  local passed
  if capsule then
    passed, err = wrenn.with(capsule, function()
      return test(capsule, settings)
    end)
  end
  print(passed and "passed" or "FAILED", name_of(settings), err or "")
  return { passed = passed }
end

local jobs = combine(MATRIX, 1, {}, {})
local results = wrenn.check(
  wrenn.task.map(jobs, run_job, { concurrency = AT_ONCE }))
local passed = 0
for _, result in ipairs(results) do
  passed = passed + (result.passed and 1 or 0)
end
print(("%d of %d passed"):format(passed, #jobs))
os.exit(passed == #jobs and 0 or 1)
