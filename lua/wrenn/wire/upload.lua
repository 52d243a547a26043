-- Streaming uploads: sends pieces as fast as the server accepts them.

local errors = require("wrenn.errors")
local http = require("wrenn.wire.http")
local multipart = require("wrenn.wire.multipart")
local nested = require("wrenn.task.nested")
local scheduler = require("wrenn.task.scheduler")
local source = require("wrenn.wire.source")

local upload = {}

-- Waits for room. Returns true; or false and the event that ended the request
-- early.
local function await_room(op, inbox)
  local event, err = http.next(op, inbox)
  if not event then
    return nil, err
  elseif event.kind ~= "writable" then
    return false, event
  end
  return true
end

-- Sends a piece and, if too much is pending, waits for room. Returns the same.
local function send(op, inbox, piece, last)
  local ok, room = op:send_body(piece, last)
  if ok and room then
    return true
  end
  return await_room(op, inbox)
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

-- Has the core send the first bytes of a file, which become no strings. Returns
-- the same as send.
local function send_file(op, inbox, file, size)
  local ok, code, message = op:send_file(file, size)
  if ok then
    return true
  elseif code == "closed" then
    return await_room(op, inbox)
  end
  return give_up(op, inbox, errors.from_core(code, message))
end

--- Uploads the pieces returned by `next_piece` (`size` bytes, if known) to a
--- path in a capsule. If they are the whole of a file of which nobody here has to
--- see the bytes, `whole` is {file = it, failed = fn}; fn(reason) returns the
--- error for one that could not be read, without a reason if it has ended too
--- early. Returns true, or nil, err.
function upload.run(client, endpoint, path, next_piece, size, whole)
  local head, tail, content_type = multipart.frame(path)
  local request = {
    method = "POST", path = endpoint, content_type = content_type,
    upload = true, upload_size = size and #head + size + #tail,
    answer = client.settings.timeout,
  }
  local op, inbox = http.start(client, request)
  if not op then
    return nil, inbox
  end
  local ok, event = send(op, inbox, head, false)
  if ok and whole then
    ok, event = send_file(op, inbox, whole.file, size)
  elseif ok then
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
  if event.kind == "failed" and event[1] == "file" then
    return nil, whole.failed(event[4] ~= 0 and event[2] or nil)
  end
  local answer, err = http.answer(event, client, request)
  if not answer then -- what has been sent is not sent again
    return client.revive.answer(client, request, err)
  end
  return http.accepted(client, request, answer)
end

return upload
