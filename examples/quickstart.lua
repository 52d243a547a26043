-- A capsule from beginning to end. `make demo` runs this with a local server;
-- with WRENN_API_KEY set it runs on wrenn.dev.

local wrenn = require("wrenn")
local check = wrenn.check -- assert, for every Lua

local function heading(text)
  print("\n== " .. text)
end

-- Splits output into lines as it arrives: events do not end at line ends.
local function each_line(stream)
  local rest = ""
  return function()
    while true do
      local stop = rest:find("\n", 1, true)
      if stop then
        local line = rest:sub(1, stop - 1)
        rest = rest:sub(stop + 1)
        return line
      end
      local ev = stream()
      if not ev then
        return nil
      elseif ev.type == "stdout" then
        rest = rest .. ev.data
      end
    end
  end
end

local function create()
  heading("create a capsule")
  local capsule = check(wrenn.Capsule.create({ wait = true }))
  print(capsule.id .. " is " .. capsule.info.status)
  return capsule
end

local function run_commands(capsule)
  heading("run a command")
  local result = check(capsule.commands:run("echo hello from $(hostname)"))
  io.write(result.stdout)
  result = check(capsule.commands:run('test -d "$DIR"',
    { envs = { DIR = "/no/such directory" } }))
  print("a failing command is no error: exit code " .. result.exit_code)
end

local function move_files(capsule)
  heading("write files, build, and watch the output line by line")
  check(capsule.files:write("app/main.sh", "#!/bin/sh\necho built\n"))
  check(capsule.files:write("app/build.sh", [[
for step in configure compile link; do
  echo "[$step] ..."
  sleep 0.2
done
cp main.sh app && chmod +x app && ./app
]]))
  local build = check(capsule.commands:stream("sh build.sh",
    { cwd = "app" }))
  for line in each_line(build) do
    print("  " .. line)
  end
  print("exit code " .. build.exit_code)

  heading("take a file out again, in pieces")
  local bytes = 0
  for piece in check(capsule.files:download_stream("app/app")) do
    bytes = bytes + #piece
  end
  print("app: " .. bytes .. " bytes")
  for _, entry in ipairs(check(capsule.files:list("app"))) do
    print(("  %s %5d  %s"):format(entry.permissions, entry.size, entry.name))
  end
end

local function commit(capsule)
  heading("commit with git")
  local git, here = capsule.git, "app"
  check(git:init(here, { initial_branch = "main" }))
  check(git:configure_user("Wren", "wren@example.com"))
  check(git:add({ "build.sh", "main.sh" }, { cwd = here }))
  check(git:commit("It's built & it works", { cwd = here }))
  local entry = check(git:log({ cwd = here }))[1]
  print(entry.short_hash .. " " .. entry.author_name .. ": " .. entry.subject)
  for _, file in ipairs(check(git:status({ cwd = here })).files) do
    print("  " .. file.status .. ": " .. file.path)
  end
end

local function use_terminal(capsule)
  heading("talk to a shell over a terminal")
  local seen = {}
  wrenn.with(check(capsule:pty({ cols = 72, rows = 20 })), function(term)
    check(term:write("stty size; echo six times seven is $((6*7)); exit\n"))
    for ev in term do
      if ev.type == "output" then
        seen[#seen + 1] = ev.data
      elseif ev.type == "exit" then
        seen[#seen + 1] = "(the shell exited with " .. ev.exit_code .. ")\n"
      end
    end
  end)
  io.write((table.concat(seen):gsub("\27%[%?2004[hl]", ""):gsub("\r", "")))
end

local function run_at_once(capsule)
  heading("five commands at once, in one thread")
  local names = check(wrenn.task.map({ "a", "b", "c", "d", "e" },
    function(name)
      return check(capsule.commands:run("sleep 0.3; echo " .. name)).stdout
    end))
  print((table.concat(names):gsub("\n", " ")))
end

-- The capsule is destroyed afterwards, also after an error.
local id = wrenn.with(create(), function(capsule)
  run_commands(capsule)
  move_files(capsule)
  commit(capsule)
  use_terminal(capsule)
  run_at_once(capsule)
  return capsule.id
end)

heading("and it is gone")
print(id .. " is " .. check(wrenn.Capsule.get_info(id)).status)
