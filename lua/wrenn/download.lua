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

-- The server cannot report a missing file once it has begun to answer: it
-- sends nothing, as for an empty file.
local function check_empty(self)
  if self.bytes > 0 then
    return finish(self)
  end
  self.ended = true
  local exists = self.exists()
  if exists == false then
    return finish(self, errors.new("NotFoundError",
      "there is no file at " .. self.path))
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
    return finish(self, errors.from_core(event[1], event[2]))
  end
  return check_empty(self)
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

--- Opens a download once the server has begun to answer. `exists` tells an
--- empty file from a missing one.
function M.open(client, endpoint, path, exists)
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
    local answer
    answer, err = http.answer(event)
    if not answer then
      return nil, err
    end
  elseif event[1] < 200 or event[1] >= 300 then
    op:cancel()
    return nil, errors.from_response(event[1], nil, "", function() end)
  end
  return setmetatable({
    op = op, inbox = inbox, path = path, bytes = 0, exists = exists,
  }, Download)
end

return M
