-- More of Neovim: what may be called where, and what is possible during a wait.

local figures = require("spec.hosts.figures")
local wrenn = require("wrenn")

local check = wrenn.check

local function say(name, value)
  io.stdout:write(name, " ", (tostring(value):gsub("\n", "/")), "\n")
  io.stdout:flush()
end

-- The main program waits like vim.wait.
local capsule = check(wrenn.Capsule.create({ wait = true }))
local function output_of(command)
  return check(capsule.commands:run(command)).stdout
end
local missed, main = figures.least(3, 24, function()
  return figures.ticks_missed(vim.loop, function()
    return output_of("sleep 0.3; echo main")
  end)
end)
say("main", main)
say("ticks_missed", missed)

-- vim.api cannot be called in callbacks of libuv; here it must work.
local function edit(text)
  local buffer = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_lines(buffer, 0, -1, true, { text })
  return table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, true), "\n")
end

local function rest()
  local timer = vim.loop.new_timer()
  timer:start(10, 0, function() -- a fast event: nothing may wait there
    timer:close()
    local _, err = capsule.commands:run("true")
    say("in_callback", err.type)
    wrenn.task.spawn(function()
      local generate = coroutine.wrap(function()
        coroutine.yield(output_of("echo generated"))
      end)
      say("generator", generate())
      check(capsule:destroy())
      vim.schedule(function()
        vim.defer_fn(function()
          vim.cmd("qa!")
        end, 50)
      end)
      error("unheard", 0)
    end)
  end)
end

wrenn.task.spawn(function()
  output_of("true")
  say("in_task", edit("in a buffer"))
  coroutine.wrap(function()
    output_of("true")
    say("in_coroutine", edit("in a buffer"))
    rest()
  end)()
end)
