-- An agent: a model is asked what to do next, a capsule does it, and the model
-- is shown what came of it, until it has an answer.
--
--   wrenn local -- lua examples/agent.lua
--
-- The model here is a few lines of Lua that need no network; another one gets
-- the same messages by HTTP. Whatever it asks for happens in the capsule.

local wrenn = require("wrenn")

local TURNS = 20 -- after which it has lost its way
local SHOWN = 4000 -- bytes of a tool's output that the model is shown

-- ---- the tools: what they return is for the model to read ------------------

local tools = {}

function tools.run(capsule, call)
  local result, err = capsule.commands:run(call.command, { timeout = 10 })
  result = result or err.result -- the output of a command that took too long
  if not result then
    return nil, err
  end
  local text = result.stdout .. result.stderr
  return ("%s\n[%s]"):format(text:sub(-SHOWN),
    err and err.message or "exit code " .. result.exit_code)
end

function tools.write(capsule, call)
  local _, err = capsule.files:write(call.path, call.text)
  return not err and call.path .. " is written", err
end

function tools.read(capsule, call)
  local text, err = capsule.files:read(call.path)
  return text and text:sub(1, SHOWN), err
end

local function use_tool(capsule, call)
  local tool = tools[call.tool]
  if not tool then
    return "there is no tool " .. tostring(call.tool)
  end
  local said, err = tool(capsule, call)
  return said or tostring(err) -- the model may know what to do about it
end

-- ---- the loop --------------------------------------------------------------

local function run_agent(capsule, model, task)
  local messages = { { role = "user", content = task } }
  for _ = 1, TURNS do
    local reply = model(messages)
    if reply.answer then
      return reply.answer
    end
    print("> " .. reply.tool .. " " .. (reply.command or reply.path))
    local said = use_tool(capsule, reply)
    print((said:gsub("\n*$", ""):gsub("[^\n]+", "  %0")))
    table.insert(messages, { role = "assistant", content = reply })
    table.insert(messages, { role = "tool", content = said })
  end
  return nil, "no answer after " .. TURNS .. " turns"
end

-- ---- the model: this one reads the last message only -----------------------

local FIRST = [[
def median(values):
    return sorted(values)[len(values) // 2]
]]
local SECOND = [[
def median(values):
    low, high = sorted(values), sorted(values, reverse=True)
    return (low[len(low) // 2] + high[len(high) // 2]) / 2
]]
local TRY = "python3 -c 'from median import *; assert median([1, 2]) == 1.5'"

local function model(messages)
  local last = messages[#messages].content
  if last:find("AssertionError") then
    return { tool = "write", path = "median.py", text = SECOND }
  elseif last:find("is written") then
    return { tool = "run", command = TRY }
  elseif last:find("exit code 0") then
    return { answer = "median.py is right, for even numbers of values too." }
  end
  return { tool = "write", path = "median.py", text = FIRST }
end

local capsule = wrenn.check(wrenn.Capsule.create({ wait = true, timeout = 60 }))
print(wrenn.check(wrenn.with(capsule, function()
  return run_agent(capsule, model, "Write median.py, and try it.")
end)))
