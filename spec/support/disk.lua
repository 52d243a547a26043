-- Shell and files on this machine.

local disk = {}

--- Runs a line of shell. Returns what it prints.
function disk.shell(line)
  local pipe = assert(io.popen(line))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

--- Returns the path of a new, empty folder.
function disk.folder()
  return (disk.shell("mktemp -d"):gsub("%s+$", ""))
end

--- Returns the contents of a file.
function disk.read(path)
  local file = assert(io.open(path, "rb"))
  local data = file:read("*a")
  file:close()
  return data
end

--- Sets the contents of a file.
function disk.write(path, data)
  local file = assert(io.open(path, "wb"))
  file:write(data)
  file:close()
end

return disk
