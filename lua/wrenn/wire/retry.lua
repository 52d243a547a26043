-- Which requests are sent again after a failure, when, and how often.
--  - What cannot do harm: GET, HEAD, PUT, DELETE, the POSTs that only read, and
--    whatever has certainly not arrived. (Streamed uploads do not come here:
--    their data may be used up.)
--  - After failures that pass: no connection, one that broke before the answer
--    was complete, 429, 503, and 502 or 504 of something on the way.
--  - After a pause drawn from a range that doubles, so that many clients do not
--    come back at once; or the one that the server asks for, if it is bearable.
--  - Within the time limit of the call, which all attempts share.
--  - Within the budget of its client, which successes refill: a server that is
--    in trouble must not get thrice the load.

local core = require("wrenn.core")
local scheduler = require("wrenn.task.scheduler")

local retry = {}

local IDEMPOTENT = { GET = true, HEAD = true, PUT = true, DELETE = true }
local READING = { ["/files/list"] = true, ["/files/read"] = true,
  ["/files/stream/read"] = true, ["/ping"] = true }
local PASSING_STATUS =
  { [429] = true, [502] = true, [503] = true, [504] = true }
local PASSING_KINDS =
  { connect = true, resolve = true, broken = true, timeout = true }

local FIRST_PAUSE = 0.6 -- seconds; the most before the second attempt
local LONGEST_PAUSE = 30

-- Repetitions that a client may have beyond what its successes have earned, and
-- how much of one each success earns.
local RESERVE, EARNED = 100, 0.2

-- ---- the budget ------------------------------------------------------------

local budgets = setmetatable({}, { __mode = "k" }) -- by settings

local function earn(settings)
  local left = budgets[settings]
  if left then
    budgets[settings] = left + EARNED < RESERVE and left + EARNED or nil
  end
end

local function spend(settings)
  local left = budgets[settings] or RESERVE
  if left < 1 then
    return false
  end
  budgets[settings] = left - 1
  return true
end

-- ---- whether and when ------------------------------------------------------

-- `reads` of a request says that it can do no harm.
local function only_reads(request)
  local rest = request.path:match("^/v1/capsules/[^/]+(/.+)$")
  return request.reads or IDEMPOTENT[request.method] or READING[rest]
end

-- A server that gives an error a code knows what is wrong, and says whether it
-- may pass; early ones answer 502 to whatever fails in a capsule. A page without
-- a code comes from a gateway.
local function is_passing(err)
  if not err.status_code then
    return PASSING_KINDS[err.details and err.details.kind]
  end
  return PASSING_STATUS[err.status_code] and (err.retryable or not err.code)
end

local function random() -- in [0, 1)
  local a, b, c = core.random(3):byte(1, 3)
  return ((a * 256 + b) * 256 + c) / 2 ^ 24
end

-- The seconds to wait before the next attempt; nil for none.
local function next_pause(settings, request, err, number)
  local arrived = err.status_code or not err.details or err.details.sent
  if number > (request.retries or settings.retries) or not is_passing(err)
    or arrived and not only_reads(request)
  then
    return nil
  end
  local asked, deadline = err.retry_after or 0, request.deadline
  local pause = asked
    + random() * math.min(FIRST_PAUSE * 2 ^ (number - 1), LONGEST_PAUSE)
  if asked > LONGEST_PAUSE or deadline and scheduler.now() + pause >= deadline
    or not spend(settings)
  then
    return nil
  end
  return pause
end

-- ---- attempts --------------------------------------------------------------

local function report(request, number, begin, answer, err, pause)
  return {
    type = "request", method = request.method, path = request.path,
    status = answer and answer.status or not answer and err.status_code or nil,
    error = not answer and err or nil, attempt = number,
    duration = scheduler.now() - begin, retry_in = pause,
  }
end

-- The caller has to know whether any attempt may have reached the server.
local function note_sent(err, sent)
  local details = not err.status_code and err.details
  if details and details.kind then
    details.sent = details.sent or sent
    return details.sent
  end
  return true -- there is an answer
end

--- The seconds that are left for a request; false for any number.
function retry.left(request)
  return request.deadline
    and math.max(request.deadline - scheduler.now(), 0.001)
end

--- Calls attempt(client, request) until it succeeds or its failure is final. It
--- returns an answer with a `status`; or nil, err, and true if it was
--- interrupted. The request's `timeout` is the limit of all attempts together,
--- also of those of a further call with the same request.
function retry.run(client, request, attempt)
  local settings = client.settings
  local begin = scheduler.now()
  if request.deadline == nil then
    request.deadline = request.timeout and begin + request.timeout
  else
    request.timeout = retry.left(request)
  end
  local number, sent = 1, false
  while true do
    local answer, err, interrupted = attempt(client, request)
    local pause
    if answer then
      earn(settings)
    elseif not interrupted then
      pause = next_pause(settings, request, err, number)
      sent = note_sent(err, sent)
    end
    if settings.on_event then
      settings.on_event(report(request, number, begin, answer, err, pause))
    end
    if not pause then
      return answer, err
    end
    local ok, why = scheduler.sleep(pause)
    if not ok then
      return nil, why
    end
    number, begin = number + 1, scheduler.now()
    request.timeout = retry.left(request)
  end
end

return retry
