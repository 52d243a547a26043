-- Whether the capsules of the specs are isolated. Where the system does not
-- allow bubblewrap to create namespaces they are not (scripts/common.sh), and
-- their folders are folders of this machine, side by side.

local walls = {}

walls.up = os.getenv("WRENN_LOCAL_ISOLATION") ~= "none"

--- Of what busted gives a spec file, `it` or `describe` and `pending`: the one
--- to tell of the walls themselves with. Where there are none these are counted
--- as skipped.
function walls.only(normal, pending)
  return walls.up and normal or pending
end

--- The home directory of a capsule.
function walls.home(capsule)
  return (assert(capsule.commands:run("cd && pwd")).stdout:gsub("\n$", ""))
end

local function quoted(text)
  return (text:gsub("%p", "%%%0"))
end

--- Two functions that put a capsule's own folder in front of /root, /home and
--- /tmp, and take it away again, in whatever text they stand. So specs that write
--- down requests and answers read the same with and without walls, and two of
--- them do not meet in /tmp.
function walls.translator(folder)
  local own = { root = true, home = true, tmp = true }
  local function inside(text)
    text = (" " .. text):gsub("([^%w._~/\\])\\?/(%w+)", function(before, name)
      return own[name] and before .. folder .. "/" .. name or nil
    end)
    text = text:gsub("%%2F(%w+)", function(name)
      return own[name] and folder:gsub("/", "%%2F") .. "%2F" .. name or nil
    end)
    return text:sub(2)
  end
  local function outside(text)
    return (text:gsub(quoted(folder), ""))
  end
  return inside, outside
end

return walls
