-- Input for commands, where the API has no field for it. It is written to a
-- file, which the command opens and removes first.

local base = require("wrenn.files.base")
local files = require("wrenn.files")
local ids = require("wrenn.ids")
local nested = require("wrenn.task.nested")
local source = require("wrenn.wire.source")

local stdin = {}

--- Raises unless a value can be the input of a command.
function stdin.check(value, fname, level)
  if value ~= nil and not source.accepts(value) then
    error(("bad option 'stdin' to '%s' (string, array of strings, function or"
      .. " file expected, got %s)"):format(fname, type(value)), level + 1)
  end
end

--- Writes the input to a file in the capsule. Returns its path, or nil, err.
function stdin.put(self, value)
  local path = "/tmp/.wrenn-stdin-" .. ids.random(12)
  local to = files.new(self.client, self.capsule_id, self)
  local called, ok, err = nested.call(to.upload_stream, to, path, value)
  if called and ok then
    return path
  end
  base.discard(to, path, not called and ok or err)
  if not called then
    error(ok, 0)
  end
  return nil, err
end

return stdin
