-- The resources of this process, as reported by the kernel.

local figures = {}

function figures.status_of(name)
  local file = assert(io.open("/proc/self/status"))
  local text = file:read("*a")
  file:close()
  return tonumber(text:match("\n" .. name .. ":%s*(%d+)"))
end

--- The number of open descriptors. Nothing is started to count them: a pipe to
--- a program has two ends here until the program runs.
function figures.count_fds()
  local count = 0
  for fd = 0, figures.status_of("FDSize") - 1 do
    local file = io.open("/proc/self/fdinfo/" .. fd)
    if file then
      count = count + 1
      file:close()
    end
  end
  return count
end

--- The seconds for which a process (this one if absent) was ready to run and had
--- no processor: what a busy machine has taken from it.
function figures.delayed(pid)
  local file = io.open(("/proc/%s/schedstat"):format(pid or "self"))
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return (tonumber(text:match("^%d+ (%d+)")) or 0) / 1e9
end

--- Calls a function; returns how often the process was woken meanwhile.
function figures.wakeups(fn)
  local before = figures.status_of("voluntary_ctxt_switches")
  fn()
  return figures.status_of("voluntary_ctxt_switches") - before
end

--- Measures up to `tries` times, until the number is at most `enough`: a busy
--- machine, a slow disk or a heap that grows by fits spoil one time, a fault all
--- of them. Returns the least number that `measure` returned, and what it
--- returned behind that one.
function figures.least(tries, enough, measure)
  local best
  repeat
    local found = { measure() }
    best = best and best[1] <= found[1] and best or found
    tries = tries - 1
  until best[1] <= enough or tries == 0
  return best[1], best[2], best[3]
end

--- Calls a function while a timer of libuv ticks every 10 ms. Returns by how many
--- ticks it fell short of 30, and what the function returned.
function figures.ticks_missed(uv, fn)
  local ticks, timer = 0, uv.new_timer()
  timer:start(10, 10, function()
    ticks = ticks + 1
  end)
  local result = fn()
  timer:close()
  return 30 - ticks, result
end

return figures
