-- The abilities of servers. The API has no negotiation, but every server reports
-- its version.

local server = {}

---@class wrenn.Traits
---@field generation? string     "0.1" and so on; nil if unknown
---@field max_part? integer      maximum of a file's bytes in one request; nil:
---  none
---@field command_fields? boolean envs and cwd of a foreground command are used
---@field process_groups? boolean a kill reaches the whole process group
---@field login_shell? boolean    commands go through a login shell, which
---  replaces a leading ~ in words
---@field binary_terminals? boolean a terminal's bytes are sent in binary frames
---@field late_pause? boolean     a capsule is reported as running for some time
---  after it was paused for inactivity

--- 0.1.5 accepts 2 MiB in one request, including the multipart framing. Every
--- server accepts this much.
server.PART = 2 * 1024 * 1024 - 64 * 1024

-- Each generation has the traits of the one before except for those listed
-- here. The patch versions of 0.1 differ: a limitation of one of them is
-- assumed for all.
local generations = {
  { generation = "0.1", max_part = server.PART, command_fields = false,
    process_groups = false, login_shell = false, binary_terminals = false,
    late_pause = true },
  { generation = "0.2", max_part = false, command_fields = true,
    process_groups = true, late_pause = false },
  { generation = "0.2.2", binary_terminals = true },
  { generation = "0.3", login_shell = true },
}

-- A server that does not tell its version gets, for each trait, the value that
-- is safe with every generation.
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

--- Returns the traits of a server with this version.
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

--- Returns the traits of the client's server, which is asked once: GET /health.
---@param client wrenn.Client
---@return wrenn.Traits|nil
---@return wrenn.Error? err  when the server could not be reached
function server.traits(client)
  if not known[client] then
    local answer, err =
      client:health({ timeout = client.settings.connect_timeout })
    if not answer and not err.status_code then
      if err.details then -- the request of the caller has not been sent yet
        err.details.sent = false
      end
      return nil, err
    end
    known[client] = server.of_version(answer and answer.version)
  end
  return known[client]
end

--- Whether a capsule that is reported as running may be paused. If the version
--- is not known yet, the capsule's info is used: only 0.1 contains addresses,
--- and the hypervisor's product name.
function server.is_late(client, info)
  local traits = known[client]
  if traits and traits.generation then
    return traits.late_pause
  end
  local metadata = type(info.metadata) == "table" and info.metadata or {}
  return info.host_ip ~= nil or info.guest_ip ~= nil
    or metadata.firecracker_version ~= nil
end

--- Records that a request was too large for a server: the daemon in a capsule
--- may have another version than the server.
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
