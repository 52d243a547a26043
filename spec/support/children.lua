-- The processes that specs start. They are ended with the specs: one that a
-- failed test has left would keep this process from exiting, as it waits for the
-- other end of each pipe.

local children = {}

local running = {}

--- Registers child:stop() to be called at the end, unless removed before.
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
