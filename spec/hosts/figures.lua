-- The resources of this process, as reported by the kernel.

local figures = {}

function figures.status_of(name)
  for line in io.lines("/proc/self/status") do
    local value = line:match("^" .. name .. ":%s*(%d+)")
    if value then
      return tonumber(value)
    end
  end
end

-- The number of descriptors: a new one gets the lowest free number.
function figures.count_fds()
  local count = 0
  for fd = 0, 255 do
    local file = io.open("/proc/self/fdinfo/" .. fd)
    if file then
      count = count + 1
      file:close()
    end
  end
  return count
end

--- Calls a function; returns how often the process was woken meanwhile.
function figures.wakeups(fn)
  local before = figures.status_of("voluntary_ctxt_switches")
  fn()
  return figures.status_of("voluntary_ctxt_switches") - before
end

return figures
