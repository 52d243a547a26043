--- A streaming download: an iterator of byte strings.

local api = require("wrenn.wire.api")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local reader = require("wrenn.reader")
local retry = require("wrenn.wire.retry")

---@class wrenn.Download
---@field size? integer  of the file when the download began; nil where it was
---  not asked for
local Download =
  reader.class("is_download", "the download was closed", "cancel")

local finish, fail = reader.finish, reader.fail

-- ---- the end ---------------------------------------------------------------

-- Once a server has begun to answer it cannot report a failure: it sends
-- nothing for a missing file, as for an empty one, and ends early, in good
-- order, when the capsule is gone. Its Content-Length is that of what it sends,
-- not of the file. So the size decides: as it was before the first byte, and,
-- where that does not fit, as it is now.

local function broke_off(self, total, cause)
  return errors.new("ConnectionError",
    ("the download of %s ended after %d of %d bytes"):format(self.path,
      self.bytes, total),
    { details = { kind = "broken", sent = true }, retryable = true,
      cause = cause })
end

local function judge(self)
  local now, err = self.count()
  if not now then
    return self.bytes == 0 and self.size == 0 and err
      or broke_off(self, self.size, err)
  elseif self.bytes == now or self.size == 0 and self.bytes > 0 then
    return nil -- what says 0 may hold more, and another number each time
  elseif now == self.size or self.bytes == 0 then
    return broke_off(self, now)
  end
  return errors.new("ConflictError",
    ("%s has changed while it was read: it had %d bytes and now has %d")
      :format(self.path, self.size, now), { retryable = true })
end

local function fits(self)
  return not self.count or self.size > 0 and self.bytes >= self.size
end

-- ---- reading ---------------------------------------------------------------

function Download:take(event)
  local kind = event.kind
  if kind == "chunk" then
    self.bytes = self.bytes + #event[1]
    return event[1]
  elseif kind == "failed" then
    return fail(self, errors.from_core(event[1], event[2], event[3]))
  elseif kind == "verdict" and event[1] then
    return fail(self, event[1])
  elseif kind == "verdict" or fits(self) then
    return finish(self)
  end
  reader.judge(self, function()
    return { kind = "verdict", (judge(self)) }
  end)
end

--- Waits for the next piece.
---@return string|nil bytes  nil at the end
---@return wrenn.Error? err  when the transfer broke: ConnectionError when less
---  came than there is, ConflictError when the file has changed meanwhile. Or
---  when the wait was interrupted: the transfer then goes on
Download.read = reader.read

--- Breaks the transfer off. Closing again does nothing.
Download.close = reader.close

local M = {}

-- Sends the request and waits for the head of the answer.
local function begin(client, request)
  local op, inbox = http.start(client, request)
  if not op then
    return nil, inbox
  end
  local event, err = http.next(op, inbox)
  if not event then
    return nil, err, true
  elseif event.kind ~= "headers" then
    return nil, (select(2, http.answer(event)))
  end
  local status, header = event[1], http.header_finder(event[2])
  if status < 200 or status >= 300 then
    op:cancel()
    return nil, errors.from_response(status, nil, "", header)
  elseif http.is_page(header) then
    op:cancel()
    return nil, errors.new("ProtocolError",
      ("POST %s: the answer is a web page"):format(request.path),
      { status_code = status })
  end
  return { status = status, op = op, inbox = inbox }
end

--- Opens a download of what the server is to know as `wire`, once it has begun
--- to answer. `size` is what there is to come, and `count` returns what there
--- is now, or nil, err; without them it is for the caller to see that nothing
--- is missing.
function M.open(client, endpoint, wire, path, size, count)
  local answer, err = retry.run(client, {
    method = "POST", path = endpoint, stream = true,
    body = api.download_body(wire), content_type = "application/json",
    idle = client.settings.timeout,
  }, begin)
  if not answer then
    return nil, err
  end
  return setmetatable({
    op = answer.op, inbox = answer.inbox, path = path, bytes = 0, size = size,
    count = count,
  }, Download)
end

return M
