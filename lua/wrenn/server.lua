-- What a client has to know about its server beforehand: the API has no
-- negotiation, but every generation tells its version.

local server = {}

---@class wrenn.Traits
---@field generation? string     "0.1" and so on; nil: it could not be told
---@field max_part? integer      most bytes of a file in one request; nil: any
---@field command_fields boolean envs and cwd of a foreground command count
---@field process_groups boolean a kill reaches the whole process group
---@field login_shell boolean    commands go through a login shell, which
---  rewrites words that begin with ~
---@field binary_terminals boolean a terminal's bytes travel in binary frames
---@field late_pause boolean     a capsule is said to be running for some time
---  after an idle one was paused

--- 0.1.5 takes 2 MiB in one request, with what frames them. So much any server
--- takes.
server.PART = 2 * 1024 * 1024 - 64 * 1024

-- Each generation has what the one before has, save what is named here. The
-- patches of 0.1 differ more than they should: what holds for one of them
-- counts for all.
local generations = {
  { generation = "0.1", max_part = server.PART, command_fields = false,
    process_groups = false, login_shell = false, binary_terminals = false,
    late_pause = true },
  { generation = "0.2", max_part = false, command_fields = true,
    process_groups = true, late_pause = false },
  { generation = "0.2.2", binary_terminals = true },
  { generation = "0.3", login_shell = true },
}

-- A server that tells no version is treated as whichever generation needs the
-- most care in a question.
local unknown = {
  max_part = server.PART, command_fields = false, process_groups = false,
  login_shell = true, binary_terminals = false, late_pause = true,
}

-- Whether version {major, minor, patch} `a` is before `b`.
local function before(a, b)
  for i = 1, 3 do
    if a[i] ~= b[i] then
      return a[i] < b[i]
    end
  end
  return false
end

local function parse(version)
  local major, minor, rest = tostring(version):match("^v?(%d+)%.(%d+)(.*)$")
  if major then
    return { tonumber(major), tonumber(minor),
      tonumber(rest:match("^%.(%d+)")) or 0 }
  end
end

--- The traits of the server with that version.
---@param version any  as GET /health has it
---@return wrenn.Traits
function server.of_version(version)
  local asked = parse(version)
  if not asked then
    return unknown
  end
  local traits = {}
  for i, generation in ipairs(generations) do
    if i > 1 and before(asked, parse(generation.generation)) then
      break
    end
    for name, value in pairs(generation) do
      traits[name] = value
    end
  end
  traits.max_part = traits.max_part or nil
  return traits
end

local known = setmetatable({}, { __mode = "k" })

--- The traits of a client's server, which is asked once: GET /health.
---@param client wrenn.Client
---@return wrenn.Traits|nil
---@return wrenn.Error? err  when the server could not be reached
function server.traits(client)
  if not known[client] then
    local answer, err =
      client:health({ timeout = client.settings.connect_timeout })
    if not answer and not err.status_code then
      if err.details then -- what the caller is about has not left yet
        err.details.sent = false
      end
      return nil, err
    end
    known[client] = server.of_version(answer and answer.version)
  end
  return known[client]
end

--- Whether a capsule that is said to be running may be paused. Unless the
--- server's version is known already, what it says about the capsule tells:
--- only 0.1 gives addresses, and names the hypervisor by its product.
function server.is_late(client, info)
  local traits = known[client]
  if traits and traits.generation then
    return traits.late_pause
  end
  local metadata = type(info.metadata) == "table" and info.metadata or {}
  return info.host_ip ~= nil or info.guest_ip ~= nil
    or metadata.firecracker_version ~= nil
end

--- Takes note that a request was too large for a client's server. Its version
--- does not tell that of the daemon in the capsule.
function server.limit_parts(client)
  local traits = {}
  for name, value in pairs(known[client] or unknown) do
    traits[name] = value
  end
  traits.max_part = server.PART
  known[client] = traits
  return traits
end

return server
