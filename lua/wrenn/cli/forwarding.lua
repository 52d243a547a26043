-- Passes connections on to ports of a capsule: each has a connection of its own
-- to the port proxy, and the bytes go through as they are, but for the heads of
-- requests, which have to name the proxy's host. What is answered is only looked
-- at: a WebSocket begins with an answer, and a client that has ended its side
-- waits for the rest of one.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local heads = require("wrenn.cli.heads")
local proxy = require("wrenn.capsule.proxy")
local scheduler = require("wrenn.task.scheduler")
local signals = require("wrenn.cli.signals")
local stdio = require("wrenn.cli.stdio")
local task = require("wrenn.task")

local forwarding = {}

-- Seconds of silence for which a client that has ended its side is waited for:
-- it may have gone. After an upgrade it hardly wants an answer any more.
local PATIENCE = 10
local PATIENCE_SWITCHED = 1
-- Seconds that a service has for the answer to an upgrade.
local UPGRADE = 60
-- Seconds in which a client reads the last answer. Until then what it sends is
-- read, too: otherwise its system would drop that answer.
local LINGER = 2

-- A connection: fd, capsule, port, scheme, authority, and what is below.
---@class wrenn.cli.Relayed
---@field fd integer       the client's connection
---@field sides integer    how many of the two tasks go on
---@field scope table       ends what the client's task does
---@field over? boolean     the capsule has ended the connection
---@field broken? boolean   or it has broken inside an answer
---@field input string     what the client has sent and nobody has taken
---@field answer string    the beginning of an answer's head
---@field body? table      of the answer that comes
---@field asked table[]    the requests without a whole answer, from `first` on
---@field news table       inbox: an answer to an upgrade, or that all is answered
---@field room table       inbox: the tunnel takes more
---@field seen integer     bytes received from the capsule
---@field opened? boolean   the tunnel is open
---@field ending? boolean   the client sends no more
---@field opaque? boolean   the answers are not followed any more
---@field switched? boolean  the connection is no HTTP any more

-- ---- to the client ---------------------------------------------------------

-- Returns true, or nil if it has gone.
local function write(self, bytes)
  local at = 1
  while at <= #bytes do
    local after = core.write(self.fd, bytes, at)
    if not after or after == at and not stdio.await(self.fd, "w") then
      return nil
    end
    at = after
  end
  return true
end

local function is_answered(self)
  return self.first > #self.asked
end

local function end_answer(self)
  self.body = nil
  self.asked[self.first] = false
  self.first = self.first + 1
  if is_answered(self) then
    self.asked, self.first = {}, 1
    if self.ending then
      self.news:put({})
    end
  end
end

-- Takes the head of an answer. What is not understood is passed on all the same,
-- and so is all that follows.
local function take_head(self, head)
  local request = self.asked[self.first]
  local status, body = heads.answer(head, request and request.method)
  self.opaque = not request or not status or status == 101
  if request and request.upgrade and (self.opaque or body) then
    self.switched = status == 101
    self.news:put({})
  end
  if body and not self.opaque then
    self.body = body
    local _, done = body:take("")
    if done then
      end_answer(self)
    end
  end
end

-- Follows the answers in what the capsule sends.
local function look_at(self, bytes)
  self.seen = self.seen + #bytes
  while bytes ~= "" and not self.opaque do
    if self.body then
      local after, done = self.body:take(bytes)
      self.opaque = not after
      bytes = after and bytes:sub(after) or ""
      if done and after then
        end_answer(self)
      end
    else
      local head, rest = heads.split(self.answer .. bytes)
      if head then
        self.answer, bytes = "", rest
        take_head(self, head)
      else
        self.answer, bytes = self.answer .. bytes, ""
        self.opaque = #self.answer > heads.MAX
      end
    end
  end
end

local function leave(self)
  self.sides = self.sides - 1
  if self.sides == 0 then
    core.close(self.fd, self.broken)
  end
end

-- The task that passes on what the capsule sends.
local function pass_down(self)
  repeat
    local event = scheduler.next(self.inbox)
    local kind = event and event.kind
    local ends = not event or kind == "closed" or kind == "failed"
    if kind == "chunk" then
      ends = not write(self, event[1])
      look_at(self, event[1])
    elseif kind == "failed" and not self.opened then
      write(self, heads.failure(502, "Bad Gateway", event[2]))
    end
    self.broken = kind == "failed" and self.opened
    self.opened = true
  until ends
  self.over = true
  task.cut(self.scope, errors.new("CancelledError", "the connection has ended"))
  leave(self)
end

-- ---- to the capsule --------------------------------------------------------

-- Waits for more from the client. Returns true; false at its end; nil if it has
-- gone, or there is no need for more.
local function fill(self)
  if not stdio.await(self.fd, "r") then
    return nil
  end
  local bytes = core.read(self.fd)
  if bytes and bytes ~= "" then
    self.input = self.input .. bytes
    return true
  end
  return bytes and false
end

local function send(self, bytes)
  local ok, room = self.op:send_bytes(bytes)
  return ok and (room or scheduler.next(self.room))
end

-- Opens the tunnel when there is something to ask.
local function open(self)
  if self.op then
    return true
  end
  local op, inbox = proxy.tunnel(self.capsule, self.port)
  if not op then
    write(self, heads.failure(502, "Bad Gateway", inbox.message))
    return nil
  end
  self.op, self.inbox = op, inbox
  inbox.room = self.room
  self.sides = 2
  self.down = task.spawn(pass_down, self)
  return true
end

-- Returns the next request; false at the end; nil if there will be none.
local function next_request(self)
  while true do
    self.input = self.input:gsub("^[\r\n]+", "")
    local head, rest = heads.split(self.input)
    if head then
      self.input = rest
      local request = heads.request(head, self.scheme, self.authority)
      if not request then
        write(self, heads.failure(400, "Bad Request",
          "this is no HTTP/1.1 request that can be passed on"))
      end
      return request
    elseif #self.input > heads.MAX then
      write(self, heads.failure(431, "Request Header Fields Too Large",
        "the head of the request is too large"))
      return nil
    end
    local more = fill(self)
    if more == false and self.input ~= "" then
      return nil
    elseif not more then
      return more
    end
  end
end

local function pass_body(self, body)
  while true do
    local after, done = body:take(self.input)
    if not after or after > 1 and not send(self, self.input:sub(1, after - 1))
    then
      return nil
    end
    self.input = self.input:sub(after)
    if done then
      return true
    elseif not fill(self) then
      return nil
    end
  end
end

-- Passes on what is no HTTP any more. Returns false at the client's end.
local function pass_rest(self)
  local more = true
  while more do
    if self.input ~= "" and not send(self, self.input) then
      return nil
    end
    self.input = ""
    more = fill(self)
  end
  return more
end

local function await_news(self, seconds)
  return task.with_timeout(seconds, function()
    return scheduler.next(self.news)
  end)
end

-- The client has sent all, and may wait for answers.
local function await_answers(self)
  self.ending = true
  while self.switched or not is_answered(self) do
    local seen = self.seen
    if await_news(self, self.switched and PATIENCE_SWITCHED or PATIENCE)
      or self.seen == seen
    then
      return
    end
  end
end

local function pass_requests(self)
  while true do
    local request = next_request(self)
    if not request then
      return request
    end
    self.asked[#self.asked + 1] = request
    if not (open(self) and send(self, request.head)
      and pass_body(self, request.body))
    then
      return nil
    elseif request.upgrade then
      if not await_news(self, UPGRADE) then
        return nil
      elseif self.switched then
        return pass_rest(self)
      end
    end
  end
end

local function let_go(self)
  if self.op then
    scheduler.forget(self.inbox)
    self.op:cancel()
    self.down:cancel()
  end
end

-- The task that passes on what the client sends.
local function pass_up(self)
  local at_end = task.within(self.scope, function()
    local more = pass_requests(self)
    if more == false then
      await_answers(self)
    end
    return more == false
  end)
  let_go(self)
  if not at_end and not self.broken then
    core.shutdown(self.fd)
    task.with_timeout(LINGER, function()
      while fill(self) do
        self.input = ""
      end
    end)
  end
  leave(self)
end

-- ---- listening -------------------------------------------------------------

local function accept(all, fd, port)
  local scheme, authority =
    proxy.url(all.capsule, port, "http"):match("^(%a+)://(.*)$")
  while stdio.await(fd, "r") do
    local client, why = core.accept(fd)
    if client then
      local up
      up = task.spawn(function()
        pass_up({ fd = client, capsule = all.capsule, port = port,
          scheme = scheme, authority = authority, sides = 1,
          scope = task.scope(), input = "", answer = "", asked = {}, first = 1,
          seen = 0, news = scheduler.inbox(), room = scheduler.inbox() })
        all.tasks[up] = nil
      end)
      all.tasks[up] = true
    elseif why then -- no descriptor is left: one may become free
      scheduler.sleep(0.1)
    end
  end
end

-- Clients take `localhost` for ::1, too, where there is one.
local function listen(ctx, wanted)
  local fd, port = core.listen(wanted.here)
  if not fd then
    ctx:fail("cannot listen on 127.0.0.1:%d: %s; wrenn forward ID 0:%d chooses"
      .. " another port", wanted.here, port or "there is no such address",
      wanted.port)
  end
  local six, why = core.listen(port, true)
  if why and not six then
    ctx:say("cannot listen on [::1]:%d, to which localhost may lead: %s", port,
      why)
  end
  return { fds = { fd, six }, port = wanted.port, here = port }
end

local function announce(ctx, one)
  local url = "http://127.0.0.1:" .. one.here
  if ctx.json then
    ctx:emit({ port = one.port, local_port = one.here, url = url })
  else
    ctx:stream(url)
  end
end

--- Passes connections on to ports ({port=, here=}) of a capsule until a signal
--- ends the command.
function forwarding.run(ctx, capsule, ports)
  core.ignore_sigpipe()
  local all, listeners = { capsule = capsule, tasks = {} }, {}
  for i, wanted in ipairs(ports) do
    listeners[i] = listen(ctx, wanted)
  end
  return signals.guard(function()
    local accepting
    for _, one in ipairs(listeners) do
      for _, fd in ipairs(one.fds) do
        accepting = task.spawn(accept, all, fd, one.port)
        all.tasks[accepting] = true
      end
      announce(ctx, one)
    end
    return ctx:check(accepting:wait())
  end, function()
    for one in pairs(all.tasks) do
      one:cancel()
    end
  end)
end

return forwarding
