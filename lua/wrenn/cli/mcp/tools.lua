-- The tools that `wrenn mcp` offers to an agent.

local check = require("wrenn.check")
local cleanup = require("wrenn.task.cleanup")
local core = require("wrenn.core")
local errors = require("wrenn.errors")
local json = require("wrenn.cli.json")
local kill = require("wrenn.commands.kill")
local nested = require("wrenn.task.nested")
local task = require("wrenn.task")

---@class wrenn.cli.Tools
---@field made table<string, wrenn.Capsule>  what `create` has created
local Tools = {}
Tools.__index = Tools

Tools.instructions = "Capsules are isolated Linux machines. Create one, and run"
  .. " commands and write files in it. Those that you create are destroyed when"
  .. " the session ends."

local M = {}

-- Bytes of one output that an answer contains: of its beginning and its end.
local HEAD, TAIL = 16 * 1024, 32 * 1024

-- Bytes of a file in one answer, and entries of a folder.
local FILE, ENTRIES = 256 * 1024, 1000

-- Seconds for a command unless the call says otherwise, and in which one that
-- is cancelled tells its pid.
local LIMIT, PATIENCE = 120, 2

-- ---- output with an end -----------------------------------------------------

local Output = {}
Output.__index = Output

local function new_output()
  return setmetatable({ head = "", tail = {}, size = 0, held = 0 }, Output)
end

function Output:add(data)
  self.size = self.size + #data
  local room = HEAD - #self.head
  if room > 0 then
    self.head = self.head .. data:sub(1, room)
    data = data:sub(room + 1)
  end
  if data ~= "" then
    self.tail[#self.tail + 1], self.held = data, self.held + #data
  end
  if self.held > 2 * TAIL then -- what is before the last bytes can go
    local kept = table.concat(self.tail):sub(-TAIL)
    self.tail, self.held = { kept }, #kept
  end
end

--- The text, with a mark where some of it is missing, and how much is.
function Output:text()
  local tail = table.concat(self.tail):sub(-TAIL)
  local missing = self.size - #self.head - #tail
  if missing == 0 then
    return self.head .. tail, 0
  end
  -- A character must not be cut in two.
  local head = self.head:gsub("[\194-\244][\128-\191]*$", "")
  tail = tail:gsub("^[\128-\191]+", "")
  missing = self.size - #head - #tail
  return ("%s\n[... %d bytes left out ...]\n%s"):format(head, missing, tail),
    missing
end

-- ---- answers ---------------------------------------------------------------

local function text_result(text, data)
  return { content = json.array({ { type = "text", text = text } }),
    structuredContent = data }
end

local function failure(err)
  local message = type(err) == "table" and err.message or tostring(err)
  return { isError = true,
    content = json.array({ { type = "text", text = message } }) }
end

-- ---- capsules --------------------------------------------------------------

-- The capsule that a call is about.
local function capsule_of(self, arguments)
  local id = arguments.capsule or self.default
  if not id then
    error("capsule is missing: the id of one, as create or list returns it",
      0)
  end
  id = self.ctx:id(id)
  local capsule = self.made[id] or self.others[id]
  if not capsule then
    capsule = self.ctx:capsule(id, { auto_resume = true })
    self.others[id] = capsule
  end
  return capsule
end

local CAPSULE = { type = "string", description = "the id of a capsule, or its"
  .. " beginning" }

-- ---- the tools -------------------------------------------------------------

local tools = {}

tools.create = {
  description = "Creates a capsule, an isolated Linux machine, and waits until"
    .. " it runs. Returns its id.",
  properties = {
    template = { type = "string", description = "what it is made from" },
    vcpus = { type = "integer" },
    memory_mb = { type = "integer" },
    metadata = { type = "object", description = "labels: strings by name",
      additionalProperties = { type = "string" } },
  },
  call = function(self, arguments)
    local capsule = self.ctx:check(require("wrenn").Capsule.create({
      client = self.ctx:client(), template = arguments.template,
      vcpus = arguments.vcpus, memory_mb = arguments.memory_mb,
      metadata = arguments.metadata, timeout = self.ttl, wait = true,
      auto_resume = true,
    }))
    self.made[capsule.id] = capsule
    return text_result(capsule.id, { id = capsule.id,
      status = capsule.info.status, template = capsule.info.template })
  end,
}

tools.list = {
  description = "Lists the capsules that exist, the newest first.",
  read_only = true,
  properties = {},
  call = function(self)
    local list = self.ctx:check(self.ctx:client().capsules:list())
    local found, lines = json.array(), {}
    for _, info in ipairs(list) do
      if not require("wrenn.cli.selecting").has_ended(info.status) then
        found[#found + 1] = { id = info.id, status = info.status,
          template = info.template, metadata = info.metadata }
        lines[#lines + 1] = info.id .. " " .. info.status
      end
    end
    return text_result(#lines > 0 and table.concat(lines, "\n")
      or "there are none", { capsules = found })
  end,
}

tools.destroy = {
  description = "Destroys a capsule and all that is in it.",
  properties = { capsule = CAPSULE },
  required = { "capsule" },
  destructive = true,
  call = function(self, arguments)
    local id = self.ctx:id(arguments.capsule)
    self.ctx:check(require("wrenn").Capsule.destroy(id,
      { client = self.ctx:client(), wait = true }))
    self.made[id], self.others[id] = nil, nil
    return text_result(id .. " is destroyed", { id = id })
  end,
}

-- Leaves nothing running of a command whose call was cancelled.
local function kill_rest(capsule, stream)
  cleanup.run(capsule.client, "kill a command", function()
    task.with_timeout(PATIENCE, function()
      while not stream.pid and stream:read() do end
    end)
    if stream.pid and not stream.exit_code then
      kill.command(capsule.commands, { pid = stream.pid })
    end
    stream:close()
  end)
end

local function describe(out, err, how)
  local parts = { how }
  if out ~= "" then
    parts[#parts + 1] = "stdout:\n" .. out
  end
  if err ~= "" then
    parts[#parts + 1] = "stderr:\n" .. err
  end
  return table.concat(parts, "\n")
end

tools.exec = {
  description = "Runs a shell command in a capsule. Returns its exit code,"
    .. " stdout and stderr; another exit code than 0 is a result like any."
    .. " Long output is cut in the middle, and marked there.",
  properties = {
    capsule = CAPSULE,
    command = { type = "string", description = "a line for the shell" },
    cwd = { type = "string", description = "the directory to run it in" },
    env = { type = "object", description = "variables: strings by name",
      additionalProperties = { type = "string" } },
    user = { type = "string" },
    timeout = { type = "number", description =
      "seconds after which it is killed (" .. LIMIT .. ")" },
  },
  required = { "command" },
  destructive = true,
  call = function(self, arguments)
    local capsule = capsule_of(self, arguments)
    local stream = self.ctx:check(capsule.commands:stream(arguments.command, {
      cwd = arguments.cwd, envs = arguments.env, user = arguments.user,
      timeout = arguments.timeout or LIMIT,
    }))
    local outputs = { stdout = new_output(), stderr = new_output() }
    local event, err
    repeat
      event, err = stream:read()
      if event and outputs[event.type] then
        outputs[event.type]:add(event.data)
      end
    until not event
    if err and err.type == "CancelledError" then
      kill_rest(capsule, stream)
      error(err, 0)
    end
    err = err or not stream.exit_code and stream.err or nil
    local out, cut_out = outputs.stdout:text()
    local errs, cut_err = outputs.stderr:text()
    local result = text_result(describe(out, errs, err and err.message
      or ("exit code %d"):format(stream.exit_code)), {
      exit_code = stream.exit_code, stdout = out, stderr = errs,
      truncated = cut_out + cut_err > 0, error = err and err.message or nil })
    result.isError = err and true or nil
    return result
  end,
}

tools.read = {
  description = "Reads a file in a capsule, at most 256 KiB at a time.",
  read_only = true,
  properties = {
    capsule = CAPSULE, path = { type = "string" },
    offset = { type = "integer", description = "the first byte's number (0)" },
  },
  required = { "path" },
  call = function(self, arguments)
    local capsule = capsule_of(self, arguments)
    local offset = arguments.offset or 0
    local stream =
      self.ctx:check(capsule.files:download_stream(arguments.path))
    local parts, at, more = {}, 0, false
    while not more do
      local chunk, err = stream:read()
      if err then
        error(err, 0)
      elseif not chunk then
        break
      end
      local first = math.max(offset - at, 0) + 1
      local last = math.min(offset + FILE - at, #chunk)
      parts[#parts + 1] = chunk:sub(first, last)
      at = at + #chunk
      more = at > offset + FILE
    end
    stream:close()
    local bytes = table.concat(parts)
    local data = { offset = offset, truncated = more, encoding = "utf-8" }
    if not check.is_utf8(bytes) then
      data.encoding = "base64"
      bytes = core.base64_encode(bytes)
    end
    local text = bytes
    if more then
      text = text .. ("\n[... cut: go on with offset %d ...]")
        :format(offset + FILE)
    end
    if data.encoding == "base64" then
      text = "(base64)\n" .. text
    end
    data.content = bytes
    return text_result(text, data)
  end,
}

tools.write = {
  description = "Writes a file in a capsule, in place of one that is there.",
  properties = {
    capsule = CAPSULE, path = { type = "string" },
    content = { type = "string" },
    encoding = { type = "string", enum = json.array({ "utf-8", "base64" }),
      description = "of the content (utf-8)" },
  },
  required = { "path", "content" },
  destructive = true,
  call = function(self, arguments)
    local capsule = capsule_of(self, arguments)
    local bytes = arguments.content
    if arguments.encoding == "base64" then
      bytes = require("wrenn").base64_decode(bytes)
      if not bytes then
        error("content is not base64", 0)
      end
    end
    self.ctx:check(capsule.files:write(arguments.path, bytes))
    return text_result(("wrote %d bytes to %s"):format(#bytes, arguments.path),
      { path = arguments.path, size = #bytes })
  end,
}

tools.list_files = {
  description = "Lists a directory in a capsule.",
  read_only = true,
  properties = {
    capsule = CAPSULE,
    path = { type = "string", description = "the home directory when absent" },
  },
  call = function(self, arguments)
    local capsule = capsule_of(self, arguments)
    local list = self.ctx:check(capsule.files:list(arguments.path or "~"))
    local found, lines = json.array(), {}
    for i = 1, math.min(#list, ENTRIES) do
      local entry = list[i]
      found[i] = { name = entry.name, type = entry.type, size = entry.size,
        permissions = entry.permissions, modified_at = entry.modified_at,
        symlink_target = entry.symlink_target }
      lines[i] = ("%s %10.0f %s%s"):format(entry.permissions or "-",
        entry.size or 0, entry.name, entry.type == "directory" and "/" or "")
    end
    if #list > ENTRIES then
      lines[#lines + 1] = ("[... %d more ...]"):format(#list - ENTRIES)
    end
    return text_result(table.concat(lines, "\n"), { entries = found,
      truncated = #list > ENTRIES })
  end,
}

tools.url = {
  description = "Returns the URL of a port of a capsule, under which a server"
    .. " that listens there can be reached.",
  read_only = true,
  properties = { capsule = CAPSULE, port = { type = "integer" } },
  required = { "port" },
  call = function(self, arguments)
    local url = capsule_of(self, arguments):get_url(arguments.port)
    return text_result(url, { url = url })
  end,
}

local ORDER = { "create", "list", "destroy", "exec", "read", "write",
  "list_files", "url" }

-- ---- what the protocol asks for --------------------------------------------

function M.new(ctx, opts)
  return setmetatable({ ctx = ctx, default = opts.capsule, ttl = opts.ttl,
    made = {}, others = {} }, Tools)
end

function Tools:has(name)
  return tools[name] ~= nil
end

--- The tools as tools/list has them.
function Tools:list()
  local list = json.array()
  for i, name in ipairs(ORDER) do
    local tool = tools[name]
    local required = json.array()
    for _, field in ipairs(tool.required or {}) do
      required[#required + 1] = field
    end
    if tool.properties.capsule and name ~= "destroy" and not self.default then
      table.insert(required, 1, "capsule")
    end
    list[i] = {
      name = name, description = tool.description,
      inputSchema = { type = "object", properties = tool.properties,
        required = required },
      annotations = { readOnlyHint = tool.read_only or false,
        destructiveHint = tool.destructive or false },
    }
  end
  return list
end

local function is_kind(value, kind)
  if kind == "integer" then
    return type(value) == "number" and value % 1 == 0
  elseif kind == "object" then
    return type(value) == "table"
  end
  return type(value) == kind
end

-- Why arguments do not fit a tool, or nil.
local function misfit(tool, arguments)
  for _, field in ipairs(tool.required or {}) do
    if arguments[field] == nil then
      return field .. " is missing"
    end
  end
  for field, value in pairs(arguments) do
    local property = tool.properties[field]
    if not property then
      return ("there is no argument '%s'%s"):format(tostring(field),
        check.meant(tostring(field), tool.properties))
    elseif not is_kind(value, property.type) then
      return ("%s: %s expected"):format(field, property.type)
    end
  end
end

-- A misuse of the library names its option, after a place in this file.
local function plain(raised)
  if errors.is_error(raised) then
    return raised
  elseif type(raised) == "table" then
    return raised.message or "it failed"
  end
  return (tostring(raised):gsub("^[^\n]-%.lua:%d+: ", ""))
end

--- Calls a tool. A failure is a result too, which the agent gets to see.
function Tools:call(name, arguments)
  local tool = tools[name]
  local why = misfit(tool, arguments)
  if why then
    return failure(why)
  end
  local ok, result = nested.call(tool.call, self, arguments)
  return ok and result or failure(plain(result))
end

--- Destroys what `create` has created.
function Tools:finish()
  local ids = {}
  for id in pairs(self.made) do
    ids[#ids + 1] = id
  end
  task.map(ids, function(id)
    local capsule = self.made[id]
    cleanup.run(capsule.client, "destroy " .. id, capsule.destroy, capsule,
      { wait = true })
    return true
  end)
end

return M
