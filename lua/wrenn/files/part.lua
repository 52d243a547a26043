-- The local side of a download: a file next to the target, which it replaces
-- once it is complete. Nothing is created or changed before the first byte has
-- arrived, and a symbolic link as the last name is not followed. Errors name
-- the target, which is what the caller knows.

local base = require("wrenn.files.base")
local core = require("wrenn.core")
local ids = require("wrenn.ids")

local PIECE = 256 * 1024
local MAX_NAME = 255
-- The umask applies.
local MODE = 438

local Part = {}
Part.__index = Part

local function split(path)
  local dir, name = path:match("^(.*)/([^/]*)$")
  return dir == "" and "/" or dir or ".", name or path
end

-- Returns an error message without the name of the partial file.
local function failed(self, why)
  return nil, base.local_error(self.path .. ": "
    .. tostring(why):gsub("^.*: ", ""))
end

local part = {}

--- Prepares a download to `path`; with `resume`, an earlier one's `<path>.part`
--- is continued. Returns a part, or nil, err.
function part.open(path, resume)
  local kind = core.file_type(path)
  local dir, name = split(path)
  local self = setmetatable({ path = path, resume = resume, target = name,
    name = resume and name .. ".part" or ".wrenn-" .. ids.random(8) },
    Part)
  if kind and kind ~= "file" then
    return failed(self, kind == "directory" and "is a directory"
      or "not a regular file")
  elseif name == "" or name == "." or name == ".." then
    return failed(self, "Is a directory")
  elseif #self.name > MAX_NAME then
    return failed(self, "File name too long")
  end
  local why, missing
  self.tree, why = core.tree(dir)
  if not self.tree then
    return failed(self, why)
  elseif resume then
    self.old, why, missing = self.tree:append(self.name)
    if not self.old and not missing then
      self.tree:close()
      return nil, base.local_error(path .. ".part: " .. why:gsub("^.*: ", ""))
    end
  end
  return self
end

--- Returns the length and hash of an earlier download's bytes and, for
--- verification of the whole file, a hash that can be continued; 0 if there are
--- none; or nil, err.
function Part:measure(to_verify)
  if not self.old then
    return 0
  end
  local hash, have = core.sha256(), 0
  local whole = to_verify and core.sha256()
  while true do
    local piece, why = self.old:read(PIECE)
    if not piece then
      return failed(self, why)
    elseif piece == "" then
      return have, hash:hex(), whole
    end
    hash:update(piece)
    if whole then
      whole:update(piece)
    end
    have = have + #piece
  end
end

-- Existing bytes are kept if `self.keep` is true, else it starts anew.
local function begin(self)
  if self.file then
    return true
  elseif self.old and self.keep then
    self.file, self.old = self.old, nil
    return true
  end
  local why
  self.file, why = self.tree:create(self.name, MODE)
  if not self.file then
    return failed(self, why)
  end
  return true
end

--- Adds bytes. Returns true, or nil, err.
function Part:write(bytes)
  local ok, err = begin(self)
  if not ok then
    return nil, err
  end
  ok, err = self.file:write(bytes)
  if not ok then
    return failed(self, err)
  end
  return true
end

--- The file that is written, once it is; others may write to it too.
function Part:sink()
  return self.file
end

--- The error for what others could not write.
Part.failed = failed

--- Ends the writing. Returns true, or nil, err.
function Part:finish()
  local ok, err = begin(self)
  if not ok then
    return nil, err
  end
  local file = self.file
  self.file, self.made = nil, true
  ok, err = file:close()
  if not ok then
    return failed(self, err)
  end
  return true
end

--- Replaces the target. Returns true, or nil, err.
function Part:commit()
  local ok, why = self.tree:rename(self.name, self.target)
  if not ok then
    return failed(self, why)
  end
  self.made = false
  return true
end

--- Closes it. If `keep` is true, the bytes remain for the next time.
function Part:close(keep)
  self.made = self.made or self.file ~= nil
  for _, name in ipairs({ "file", "old" }) do
    if self[name] then
      self[name]:close()
      self[name] = nil
    end
  end
  if self.made and not keep then
    self.tree:remove(self.name)
  end
  self.tree:close()
end

return part
