-- The differences between generations of the API, for specs that run against
-- each.

local server = require("spec.support.server")

local generations = {}

local list = {
  { name = "0.1", version = "0.1.5", template = "minimal", waits = true },
  { name = "0.2", version = "0.2.0", template = "minimal" },
  { name = "0.2.2", version = "0.2.2", template = "minimal-ubuntu",
    binary = true },
  { name = "0.3", version = "0.3.0", template = "minimal-ubuntu",
    binary = true, typed = true },
  { name = "0.4", version = "0.4.0", template = "minimal-ubuntu",
    binary = true, typed = true, labels = true, vcpus = 2, memory_mb = 2048 },
}

for i, generation in ipairs(list) do
  generation.at = i
  generation.vcpus = generation.vcpus or 1
  generation.memory_mb = generation.memory_mb or 512
  generation.user = generation.typed and "wrenn-user" or "root"
  generation.home = generation.typed and "/home/wrenn-user" or "/root"
  -- Of two values: what holds up to 0.2.2, and from 0.3 on.
  function generation.pick(plain, typed)
    if generation.typed then
      return typed
    end
    return plain
  end
end

--- Starts a wrenn-local of a generation.
function generations.start(generation, args, env)
  return server.start("--generation " .. generation.name .. " " .. (args or ""),
    env)
end

-- Names, with blanks around each; absent: all.
local chosen = os.getenv("WRENN_SPEC_GENERATIONS")

--- Calls fn(generation) for each of those that this Lua has to do with, the
--- oldest first.
function generations.each(fn)
  for _, generation in ipairs(list) do
    if not chosen or chosen:find(" " .. generation.name .. " ", 1, true) then
      fn(generation)
    end
  end
end

return generations
