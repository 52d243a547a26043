--- A streaming download: an iterator of byte strings.

local api = require("wrenn.wire.api")
local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local reader = require("wrenn.reader")
local retry = require("wrenn.wire.retry")
local scheduler = require("wrenn.task.scheduler")

---@class wrenn.Download
---@overload fun(): string|nil
---@field size? integer  the file's size when the download began; nil if it was
---  not looked up
local Download =
  reader.class("wrenn.Download", "is_download", "the download was closed",
    "cancel")

local finish, fail = reader.finish, reader.fail

-- ---- the end ---------------------------------------------------------------

-- A server cannot report a failure once its answer has begun. For a missing file
-- it sends nothing, as for an empty one, and if the capsule ends, the answer ends
-- early but in good order. Content-Length is the length of what is sent, not of
-- the file. So the file's size decides whether a download is complete: the size
-- before the first byte or, if that differs, the size afterwards.

local function broke_off(self, total, cause)
  local client = self.client
  return client.fate(client, self.endpoint, errors.new("ConnectionError",
    ("the download of %s ended after %d of %d bytes"):format(self.path,
      self.bytes, total),
    { details = { kind = "broken", sent = true }, retryable = true,
      cause = cause }))
end

-- The verdict on a connection that broke.
local function cut_off(self, event)
  local client = self.client
  return client.fate(client, self.endpoint,
    errors.from_core(event[1], event[2], event[3]))
end

local function judge(self)
  local now, err = self.count()
  if not now then
    return self.bytes == 0 and self.size == 0 and err
      or broke_off(self, self.size, err)
  elseif self.bytes == now or self.size == 0 and self.bytes > 0 then
    return nil -- a file of size 0 may have contents, different each time
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
    local piece, why = event[1], event[2]
    if piece then
      self.bytes = self.bytes + (type(piece) == "number" and piece or #piece)
    end
    return piece, why
  elseif kind == "failed" and event[1] ~= "broken" then
    return fail(self, errors.from_core(event[1], event[2], event[3]))
  elseif kind == "verdict" and event[1] then
    return fail(self, event[1])
  elseif kind == "verdict" or kind == "done" and fits(self) then
    return finish(self)
  end
  reader.judge(self, function()
    return { kind = "verdict",
      (kind == "failed" and cut_off(self, event) or judge(self)) }
  end)
end

--- Waits for the next piece. Returns nil at the end; or nil, err:
--- ConnectionError if the file is not complete, ConflictError if it has changed
--- meanwhile. Or the wait was interrupted; the download remains usable.
---@type fun(self: wrenn.Download): string?, wrenn.Error?
Download.read = reader.read

--- Ends the transfer. Closing again does nothing.
Download.close = reader.close

local M = {}

--- Has the bytes of a download written to a file of core.tree, if all that have
--- arrived have been read: only then is their order certain. `read` then returns
--- the number of bytes that were written, or false and the reason why not.
function M.pour(download, file)
  local inbox = download.inbox
  if inbox and not inbox:has_event() then
    scheduler.pour(inbox, file)
    return true
  end
  return false
end

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
    return nil, (select(2, http.answer(event, client, request)))
  elseif not http.is_success(event.status) then
    op:cancel()
    return nil, http.refused(event, "")
  elseif http.is_page(event) then
    op:cancel()
    return nil, errors.new("ProtocolError",
      ("POST %s: the answer is a web page"):format(request.path),
      { status_code = event.status,
        url = errors.public(http.url(client, request)) })
  end
  return { status = event.status, op = op, inbox = inbox }
end

--- Opens a download; returns when the answer has begun. `wire` is the path as
--- the server is to see it, `size` the expected size, and `count` a function that
--- returns the present size, or nil, err. Without these two the caller has to
--- check that nothing is missing.
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
    client = client, endpoint = endpoint, op = answer.op,
    inbox = answer.inbox, path = path, bytes = 0, size = size, count = count,
  }, Download)
end

return M
