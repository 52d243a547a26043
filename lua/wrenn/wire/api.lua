-- The JSON of the API: bodies of requests, and answers. Missing fields of an
-- answer get the documented defaults; unknown fields are passed through.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local json = require("wrenn.wire.json")
local shapes = require("wrenn.wire.shapes")

local api = {}

local unpack = table.unpack or unpack

-- ---- capsules --------------------------------------------------------------

--- The body of POST /v1/capsules. Contains only the options that were given.
function api.create_body(opts)
  return {
    template = opts.template,
    vcpus = opts.vcpus,
    memory_mb = opts.memory_mb,
    disk_size_mb = opts.disk_size_mb,
    timeout_sec = opts.timeout and math.ceil(opts.timeout),
    metadata = opts.metadata and next(opts.metadata) and opts.metadata or nil,
    volume_ids = opts.volumes and #opts.volumes > 0 and opts.volumes or nil,
  }
end

--- Whether an answer is a capsule, where it may also be a template.
function api.is_capsule(answer)
  return answer.status ~= nil
end

-- ---- templates and volumes --------------------------------------------------

--- The body of POST /v1/snapshots. Without a name the server chooses one.
function api.snapshot_body(capsule_id, name)
  return { sandbox_id = capsule_id, name = name }
end

--- The body of PATCH /v1/snapshots/{name}.
function api.rename_body(new_name)
  return { new_name = new_name }
end

--- The body of PATCH /v1/snapshots/{name}/visibility.
function api.visibility_body(public)
  return { public = public }
end

--- Parses the answer of GET /v1/snapshots: a complete list, or from 0.4 on a
--- page of it. Returns {templates, pages, per_page}.
function api.template_page(answer)
  local paged = answer.templates ~= nil or answer.total_pages ~= nil
    or answer[1] == nil
  if not paged then
    return { templates = answer, pages = 1 }
  end
  return {
    templates = answer.templates or {}, pages = answer.total_pages or 1,
    per_page = answer.per_page,
  }
end

--- The body of POST /v1/volumes.
function api.volume_body(opts)
  return { name = opts.name, size = opts.size, size_mb = opts.size_mb }
end

-- ---- commands --------------------------------------------------------------

--- The body of POST .../exec for `words`: a program and its arguments.
function api.exec_body(words, opts)
  return {
    cmd = words[1],
    args = #words > 1 and { select(2, unpack(words)) } or nil,
    background = opts.background or false,
    timeout_sec = opts.timeout_sec,
    envs = opts.envs,
    cwd = opts.cwd,
    tag = opts.tag,
  }
end

local function text_field(answer, name)
  local text = answer[name]
  if text == nil then
    return ""
  elseif answer.encoding ~= "base64" then
    return text
  end
  local bytes = core.base64_decode(text)
  if not bytes then
    return nil, "'" .. name .. "' is not valid base64"
  end
  return bytes
end

--- Parses the answer of a foreground command; returns nil and a reason if it is
--- malformed.
function api.exec_result(answer)
  local stdout, why = text_field(answer, "stdout")
  if not stdout then
    return nil, why
  end
  local stderr
  stderr, why = text_field(answer, "stderr")
  if not stderr then
    return nil, why
  end
  return {
    stdout = stdout,
    stderr = stderr,
    exit_code = answer.exit_code,
    duration_ms = answer.duration_ms,
  }
end

--- The processes in the answer of GET .../processes.
function api.processes(answer)
  return answer.processes or {}
end

--- The first frame of an exec stream.
function api.start_frame(words)
  return {
    type = "start", cmd = words[1],
    args = #words > 1 and { select(2, unpack(words)) } or nil,
  }
end

--- The frame that ends a stream.
api.STOP = '{"type":"stop"}'

-- The meaning of the text of a frame that tells of an error.
local meanings = {
  { "authentication failed", "AuthenticationError" },
  { "not running", "ConflictError" },
  { "not found", "NotFoundError" },
}

--- The error of an error frame of a stream or a terminal.
function api.frame_error(text)
  text = errors.text(text)
  for _, meaning in ipairs(meanings) do
    if text:find(meaning[1], 1, true) then
      return errors.explain_state(errors.new(meaning[2], text))
    end
  end
  return errors.new("AgentError", text)
end

-- ---- PTY -------------------------------------------------------------------

--- The first frame of a PTY.
function api.pty_start(opts)
  return {
    type = "start",
    cmd = opts.cmd or "/bin/bash",
    args = opts.args and #opts.args > 0 and opts.args or nil,
    cols = opts.cols or 80,
    rows = opts.rows or 24,
    envs = opts.envs and next(opts.envs) and opts.envs or nil,
    cwd = opts.cwd,
    user = opts.user,
  }
end

--- The first frame for a PTY that runs already.
function api.pty_connect(tag)
  return { type = "connect", tag = tag }
end

--- The frame that resizes a PTY.
function api.pty_resize(cols, rows)
  return json.encode({ type = "resize", cols = cols, rows = rows })
end

--- The frames that kill a PTY's program, and that answer a ping.
api.PTY_KILL = '{"type":"kill"}'
api.PTY_PONG = '{"type":"pong"}'

-- ---- files -----------------------------------------------------------------

--- The body of requests about a path; `depth` is that of a listing.
function api.file_body(path, depth)
  return { path = path, depth = depth }
end

--- The body of POST .../files/stream/read, as text.
function api.download_body(path)
  return json.encode(api.file_body(path))
end

--- The entries in the answer of POST .../files/list.
function api.entries(answer)
  return answer.entries or {}
end

local LETTERS = "rwxrwxrwx"

--- An entry as in the answer of POST .../files/list, for a directory that no
--- listing contains. `fields`: path, size, mode, owner, group, modified_at.
function api.directory_entry(name, fields)
  local permissions = "d"
  for i = 1, #LETTERS do
    local on = math.floor(fields.mode / 2 ^ (#LETTERS - i)) % 2 == 1
    permissions = permissions .. (on and LETTERS:sub(i, i) or "-")
  end
  fields.name, fields.type = name, "directory"
  fields.permissions = permissions
  return fields
end

-- ---- events ----------------------------------------------------------------

--- Decodes an event of GET /v1/events/stream. Returns it, or nil and the reason
--- if it is malformed.
function api.event(text)
  local value, why = json.decode(text)
  if type(value) ~= "table" then
    return nil, "an event is not a JSON object"
      .. (why and " (" .. why .. ")" or "")
  end
  local ok
  ok, why = shapes.check("event", value, text)
  if not ok then
    return nil, "an event is malformed: " .. why
  end
  return value
end

return api
