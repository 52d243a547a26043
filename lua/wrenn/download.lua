--- A streaming download: an iterator of byte strings.

local check = require("wrenn.check")
local errors = require("wrenn.errors")
local http = require("wrenn.http")
local json = require("wrenn.json")
local scheduler = require("wrenn.scheduler")

---@class wrenn.Download
local Download = { is_download = true }
Download.__index = Download

local function finish(self, err)
  self.ended = true
  self.failure = err
  if self.op then
    scheduler.forget(self.inbox)
    self.op:cancel()
    self.op = nil
  end
  return nil, err
end

local function broke_off(self)
  return finish(self, errors.new("ConnectionError",
    ("the download of %s ended after %d of %d bytes"):format(self.path,
      self.bytes, self.size), { details = { kind = "broken", sent = true } }))
end

-- Once a server has begun to answer it cannot report a failure: it sends
-- nothing for a missing file, as for an empty one, and ends early when it
-- cannot read on. Only a Content-Length, which the core has seen to, is proof.
local function check_end(self)
  self.ended = true
  if self.bytes == 0 then
    local entry, err = self.find()
    if not entry then
      return finish(self, err)
    end
  elseif self.size and self.bytes < self.size then
    return broke_off(self)
  end
  return finish(self)
end

local function read(self, next_event)
  if self.ended then
    return nil, self.failure
  end
  local event, err = next_event(self.inbox)
  if self.ended then -- another task has read the end, or closed it
    return nil, self.failure
  elseif not event then
    return finish(self, err)
  elseif event.kind == "chunk" then
    self.bytes = self.bytes + #event[1]
    return event[1]
  elseif event.kind == "failed" then
    return finish(self, errors.from_core(event[1], event[2], event[3]))
  end
  return check_end(self)
end

--- Waits for the next piece.
---@return string|nil bytes  nil at the end
---@return wrenn.Error? err  when the transfer broke
function Download:read()
  check.self(self, "is_download", "read")
  return read(self, scheduler.next)
end

-- As an iterator it raises when the transfer breaks, as io.lines does: half a
-- file must not look like a whole one.
function Download:__call()
  local piece, err = read(self, scheduler.next_of_iterator)
  if err then
    error(err, 0)
  end
  return piece
end

--- Breaks the transfer off. Closing again does nothing.
function Download:close()
  check.self(self, "is_download", "close")
  if not self.ended then
    finish(self, errors.new("CancelledError", "the download was closed"))
  end
end

Download.__close = Download.close

local M = {}

-- The size of what is at the path; nil when that cannot be told. A file that
-- grows meanwhile is fine: this is asked before its first byte is read.
local function size_by_list(find)
  local entry = find()
  if entry and entry.type == "file" then
    return entry.size
  end
end

--- Opens a download once the server has begun to answer. `find` returns the
--- entry of the file, or nil, err.
function M.open(client, endpoint, path, find)
  local op, inbox = http.start(client, {
    method = "POST", path = endpoint, stream = true,
    body = json.encode({ path = path }), content_type = "application/json",
    idle = client.settings.timeout,
  })
  if not op then
    return nil, inbox
  end
  local event, err = http.next(op, inbox)
  if not event then
    return nil, err
  elseif event.kind ~= "headers" then
    return nil, (select(2, http.answer(event)))
  elseif event[1] < 200 or event[1] >= 300 then
    op:cancel()
    return nil, errors.from_response(event[1], nil, "",
      http.header_finder(event[2]))
  end
  local header = http.header_finder(event[2])
  if http.is_page(header) then
    op:cancel()
    return nil, errors.new("ProtocolError",
      ("POST %s: the answer is a web page"):format(endpoint),
      { status_code = event[1] })
  end
  local length = header("content-length")
  return setmetatable({
    op = op, inbox = inbox, path = path, bytes = 0, find = find,
    size = tonumber(length) or size_by_list(find),
  }, Download)
end

return M
