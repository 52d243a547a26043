-- Streaming uploads: sends pieces as fast as the server accepts them.

local http = require("wrenn.wire.http")
local multipart = require("wrenn.wire.multipart")
local nested = require("wrenn.task.nested")
local scheduler = require("wrenn.task.scheduler")
local source = require("wrenn.wire.source")

local upload = {}

-- Sends a piece and, if too much is pending, waits for room. Returns true; or
-- false and the event that ended the request early.
local function send(op, inbox, piece, last)
  local ok, room = op:send_body(piece, last)
  if ok and room then
    return true
  end
  repeat
    local event, err = http.next(op, inbox)
    if not event then
      return nil, err
    elseif event.kind ~= "writable" then
      return false, event
    end
  until true
  return true
end

local function give_up(op, inbox, err)
  scheduler.forget(inbox)
  op:cancel()
  return nil, err
end

-- Sends all pieces; returns the same as send.
local function send_all(op, inbox, next_piece)
  while true do
    local called, piece, why = nested.call(next_piece)
    if not called then
      give_up(op, inbox)
      error(piece, 0)
    end
    if piece == nil and why == nil then
      return true
    end
    if type(piece) ~= "string" then
      return give_up(op, inbox, source.failed(piece, why))
    end
    local ok, event = send(op, inbox, piece, false)
    if not ok then
      return ok, event
    end
  end
end

--- Uploads the pieces returned by `next_piece` (`size` bytes, if known) to a
--- path in a capsule. Returns true, or nil, err.
function upload.run(client, endpoint, path, next_piece, size)
  local head, tail, content_type = multipart.frame(path)
  local request = {
    method = "POST", path = endpoint, content_type = content_type,
    upload = true, upload_size = size and #head + size + #tail,
    idle = client.settings.timeout, answer = client.settings.timeout,
  }
  local op, inbox = http.start(client, request)
  if not op then
    return nil, inbox
  end
  local ok, event = send(op, inbox, head, false)
  if ok then
    ok, event = send_all(op, inbox, next_piece)
  end
  if ok then
    ok, event = send(op, inbox, tail, true)
  end
  if ok == nil then
    return nil, event -- the wait was interrupted or the source failed
  end
  while ok or event.kind == "writable" do
    local err
    event, err = http.next(op, inbox)
    if not event then
      return nil, err
    end
    ok = false
  end
  local answer, err = http.answer(event, client, request)
  if not answer then -- what has been sent is not sent again
    return client.revive.answer(client, request, err)
  end
  return http.accepted(client, request, answer)
end

return upload
