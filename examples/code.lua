-- Python code in a kernel, which keeps its state, and a request to a service in
-- the capsule.
--
--   wrenn local -- lua examples/code.lua

local wrenn = require("wrenn")

local check = wrenn.check

local function run_python(code)
  check(code:run_code("import math\nradius = 2"))
  local area = check(code:run_code("math.pi * radius ** 2"))
  print("the area is " .. area.text)

  check(code:run_code("for i in range(3): print('line', i)", {
    on_stdout = function(text)
      io.write(text)
    end,
  }))

  local failed = check(code:run_code("1 / 0"))
  print(failed.error.name .. ": " .. failed.error.value)

  local slow = check(code:run_code("while True: pass", { timeout = 0.5 }))
  print(slow.error.name .. ": " .. slow.error.value)
end

-- Waits until a service answers on a port.
local function wait_for(capsule, port)
  repeat
    check(wrenn.task.sleep(0.1))
    local answer = check(capsule:request(port))
  until answer.status ~= 502
end

local function serve(capsule)
  check(capsule.files:write("www/hello.txt", "Hello from a capsule!\n"))
  check(capsule.commands:run("python3 -m http.server 8000", {
    background = true, cwd = "www",
  }))
  wait_for(capsule, 8000)
  local answer = check(capsule:request(8000, { path = "/hello.txt" }))
  print(capsule:get_url(8000) .. "/hello.txt says:")
  io.write(answer.body)
end

local code = check(wrenn.code_runner.Capsule.create({ wait = true }))
wrenn.with(code, function()
  run_python(code)
  serve(code)
end)
