-- The processes that specs start, so that none outlives them: one that a failed
-- test has left running would keep this process from ending, which waits for
-- the other end of each pipe.

local children = {}

local running = {}

--- Has child:stop() called at the end, unless it is removed before.
function children.add(child)
  running[child] = true
end

function children.remove(child)
  running[child] = nil
end

local function stop_all()
  local left = running
  running = {}
  for child in pairs(left) do
    child:stop()
  end
  return nil, true
end

local busted = package.loaded.busted
if busted then
  busted.subscribe({ "suite", "end" }, stop_all)
end

return children
