-- Environments, where the API has no field for them. The values must not show
-- in the process list, so they are written to a file, in a directory that only
-- its owner can enter; the command reads and removes it first.

local base = require("wrenn.files.base")
local errors = require("wrenn.errors")
local exec = require("wrenn.commands.exec")
local files = require("wrenn.files")
local ids = require("wrenn.ids")
local literal = require("wrenn.commands.literal")
local words = require("wrenn.commands.words")

local envs = {}

-- Below the home directory, where commands start.
local FOLDER = ".wrenn/envs"
local MAKE = 'umask 077; mkdir -p "$1" && chmod 700 "$1"'

local function make_folder(self)
  if self.has_envs_folder then
    return true
  end
  local result, err = exec.script(self, MAKE, { FOLDER })
  if not result then
    return nil, err
  elseif result.exit_code ~= 0 then
    return nil, errors.new("AgentError",
      "the capsule could not take an environment: "
      .. errors.text(result.stderr), { result = result })
  end
  self.has_envs_folder = true
  return true
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The text of a file that is read at `path` by the line of
-- words.with_file_of_envs. What no shell can set is left to env, which sees it
-- only as it starts: the words of the line, which are listed, do not hold it.
local function text_of(values, path)
  local lines, odd = {}, {}
  for name, value in pairs(values) do
    if literal.is_variable(name) then
      lines[#lines + 1] = ("export %s=%s\n"):format(name, quoted(value))
    else
      odd[#odd + 1] = quoted(name .. "=" .. value)
    end
  end
  table.sort(lines)
  table.sort(odd)
  if odd[1] then
    lines[#lines + 1] = ('shift; set -- %s /usr/bin/env %s "$@"\n')
      :format(quoted(path), table.concat(odd, " "))
  end
  return table.concat(lines)
end

--- Adds an environment to words. Returns the new words and the path of the
--- file, if one is needed; or nil, err.
function envs.put(self, list, values)
  if not next(values) then
    return list
  end
  local ok, err = make_folder(self)
  if not ok then
    return nil, err
  end
  local name = ids.random(12)
  local path = ("~/%s/%s"):format(FOLDER, name)
  local own_path = ("./%s/%s"):format(FOLDER, name)
  local to = files.new(self.client, self.capsule_id, self)
  ok, err = to:write(path, text_of(values, own_path))
  if not ok then
    base.discard(to, path, err)
    return nil, err
  end
  return words.with_file_of_envs(list, own_path), path
end

return envs
