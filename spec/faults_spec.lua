-- Every public operation and every fault: the right typed error within the
-- deadline, no success that is none, nothing left open. One peer serves all:
-- the first part of the path, or of the host, says which fault it has to
-- commit.
-- Takes long: begins first.

local core = require("wrenn.core")
local expect = require("spec.support.expect")
local faults = require("spec.support.faults")
local figures = require("spec.hosts.figures")
local frame_faults = require("spec.support.frame_faults")
local operations = require("spec.support.operations")
local peer = require("spec.support.peer")
local runner = require("wrenn.code_runner")
local server = require("wrenn.server")
local tls = require("spec.support.tls")
local wrenn = require("wrenn")

local LIMIT = 1 -- of a call whose fault only a deadline ends
local OPENING = 10 -- of an upgrade whose answer then stays away
local PATIENCE = 20 -- of any other, which must not need it
local SLACK = 6 -- beside what a busy machine takes
local FAR = 90 -- around all: never what ends a call

-- ---- the peer ---------------------------------------------------------------

local function peer_script()
  local lines = {}
  local function define(prefix, list, format)
    for i, fault in ipairs(list) do
      lines[#lines + 1] = format:format(prefix .. i, fault.script)
    end
  end
  define("f", faults, "%s = function(c) %s end,")
  define("w", frame_faults, "%s = function(c) %s end,")
  return ([[
    faults = faults or {
      %s
      ok = function(c, head)
        local id = head:match("/capsules/([^/ ]+)")
        if head:find("^POST") and head:find("/exec ") then
          c:respond(200, '{"exit_code":0,"stdout":"5 7\\n","stderr":"",'
            .. '"pid":5,"tag":"t"}')
        else
          c:respond(200, head:find("/processes ")
            and '{"processes":[{"pid":5,"tag":"t","cmd":"x"}]}'
            or ('{"id":"%%s","status":"running","version":"0.4.0"}')
              :format(id or "cl-1"))
        end
      end,
    }
    local START = { pty = '{"type":"started","pid":5,"tag":"t"}',
      other = '{"type":"start","pid":5}' }
    local function read_body(head)
      local length = tonumber(head:match("Content%%-Length: (%%d+)"))
      if length then
        c:read(length)
      elseif head:find("Transfer-Encoding: chunked", 1, true) then
        repeat
          local size = tonumber((c:read_to("\r\n") or "0"):match("^%%x+"), 16)
          c:read((size or 0) + 2)
        until (size or 0) == 0
      end
    end
    local first = c:read(1)
    if first == "\22" then return c:close() end -- not plain HTTP
    c.input = (first or "") .. c.input
    idle = idle or {}
    while true do
      idle[c] = true
      local head = c:read_to("\r\n\r\n")
      idle[c] = nil
      if not head then return end
      read_body(head)
      if head:find("^GET /hang%%-up/") then
        local others = idle
        idle = {}
        for other in pairs(others) do
          other:close()
        end
      end
      local name = head:match("^%%S+ /([fw]%%d+s?)/")
        or head:match("\r\nHost: %%d+%%-cl%%-([fw]%%d+s?)%%.") or "ok"
      local fault = faults[name:gsub("s$", "")]
      local key = head:match("Sec%%-WebSocket%%-Key: (%%S+)")
      if name:find("^w") and key then
        c:upgrade({ headers = { ["sec-websocket-key"] = key } })
        if name:find("s$") then
          c:text(head:find("/pty ", 1, true) and START.pty or START.other)
        end
        fault(c)
      elseif name:find("^w") then
        faults.ok(c, head)
      else
        fault(c, head)
      end
    end
  ]]):format(table.concat(lines, "\n"))
end

local p, home, ca

-- A capsule, whose further calls all meet the fault of that name.
local function capsule_with(name, settings)
  local client = assert(wrenn.Client(p:options({ retries = 0,
    timeout = FAR, connect_timeout = FAR, -- many at once
    base_url = p.url .. "/ok", api_key = "wrn_not_to_be_seen" })))
  assert(server.traits(client))
  local id = "cl-" .. name
  local capsule = assert(wrenn.Capsule.connect(id, { client = client }))
  capsule.durable = assert(capsule.commands:durable("t"))
  capsule.code = assert(runner.Capsule.connect(id, { client = client }))
  client.settings.base_url = p.url .. "/" .. name
  for key, value in pairs(settings or {}) do
    client.settings[key] = value
  end
  return capsule
end

setup(function()
  p = peer.start(peer_script())
  home = os.tmpname()
  os.remove(home)
  assert(os.execute("mkdir " .. home))
  operations.use_directory(home)
  ca = tls.authority()
end)

teardown(function()
  p:stop()
  os.remove(ca)
  os.execute("rm -r " .. home)
end)

-- ---- what has to come of it -------------------------------------------------

-- Any JSON that is not a page says as much as an empty answer.
local order_fine = { ["204"] = true, ["nothing"] = true, ["{}"] = true,
  ["[]"] = true, ["[null]"] = true, ["[{}]"] = true, ["wrong types"] = true,
  ["JSON that is not UTF-8"] = true }

-- Whether a fault is none to an operation.
local function is_fine(op, fault)
  return op.port and not op.upgrade and (fault.status or fault.shape)
    or op.bytes and fault.shape and fault.name ~= "a page"
    or op.order and order_fine[fault.name]
    or op.exists and fault.status == 404
    or op.port and op.upgrade and fault.closes
    or op.fine and op.fine[fault.name]
end

-- What asks again until its own limit is over.
local asks_again = { ConnectionError = true, InternalError = true,
  AgentError = true, HostUnavailableError = true, TimeoutError = true }

-- The types of which the error has to be one.
local function expected(op, fault)
  if op.sse and (fault.shape or fault.answered) then
    return "ConnectionError ProtocolError"
  elseif op.jupyter and not op.order and asks_again[fault.expected] then
    return "TimeoutError"
  elseif op.command and fault.status == 504 then
    return "TimeoutError AgentError" -- the command's, says the server
  elseif op.asks_first and fault.name == "{}" then
    return "NotFoundError" -- no processes
  elseif fault.status == 409 then
    return "ConflictError CapsuleStateError"
  elseif op.upgrade and fault.answered then
    return "ConnectionError ProtocolError" -- a reset may take that with it
  elseif op.upgrade and fault.expected == "TooLargeError"
    and not fault.status
  then
    return "TooLargeError ProtocolError"
  end
  return fault.expected
end

local function is_one_of(err, names)
  for name in names:gmatch("%S+") do
    if err:is(name) then
      return true
    end
  end
end

-- What is wrong with what came of it; nil when nothing is.
local function complaint(cell)
  local err, fault = cell.err, cell.fault
  local names = cell.limited and "TimeoutError" or expected(cell.op, fault)
  local most = cell.limited and LIMIT + 0.5 or cell.most
  if cell.took - cell.delayed > most + SLACK then
    return ("took %.1f s: %s"):format(cell.took, tostring(err))
  elseif is_fine(cell.op, fault) and not cell.limited and not err then
    return nil
  elseif cell.result ~= nil then
    return "is a success: " .. tostring(cell.result)
  elseif not wrenn.errors.is_error(err) then
    return "is no error: " .. tostring(err)
  elseif not is_one_of(err, names) then
    return ("is a %s, not a %s"):format(tostring(err), names)
  elseif tostring(err):find("wrn_not", 1, true)
    or tostring(err):find("secret123", 1, true)
  then
    return "tells a secret: " .. tostring(err)
  elseif tostring(err):find("%c") or #tostring(err) > 3000 then
    return "is not a line: " .. tostring(err)
  elseif names == "TimeoutError" and fault.slow
    and cell.took < LIMIT * 0.9
  then
    return ("took no more than %.2f s"):format(cell.took)
  end
end

-- ---- cells ------------------------------------------------------------------

local cells = {}

local function add_cell(cell)
  cells[#cells + 1] = cell
  cell.number = #cells
end

-- One cell of so many; those that wait for a deadline cost nothing, and are
-- all there. What many do in one way is shared out among them.
local share = os.getenv("WRENN_FAULTS") == "all" and 1
  or _VERSION == "Lua 5.4" and not os.getenv("ASAN_OPTIONS") and 2 or 6
local counts = { requests = 0, upgrades = 0, frames = 0 }

for at, op in ipairs(operations) do
  for i, fault in ipairs(faults) do
    local part = op.thin and 4 or fault.slow and 1 or share
    if share == 1 or (at + i) % part == 0 then
      local kind = op.upgrade and "upgrades" or "requests"
      local slow = fault.slow
        and (op.asks_first or not (op.upgrade and fault.answered))
      if slow then
        counts[kind] = counts[kind] + 1
        add_cell({ op = op, fault = fault, name = "f" .. i, limited = true })
      end
      -- A command has a limit of its own, and ten seconds for the way.
      local own = not (op.command or op.jupyter or op.sse
        or op.asks_first or op.bytes and fault.bytes)
      if not slow or own then
        counts[kind] = counts[kind] + 1
        add_cell({ op = op, fault = fault, name = "f" .. i,
          most = op.upgrade and fault.slow and OPENING
            or slow and 4 * LIMIT or 0,
          limited = op.jupyter and not op.order
            and asks_again[fault.expected] or false })
      end
    end
  end
  for i, fault in ipairs(op.upgrade and frame_faults or {}) do
    for _, start in ipairs({ "", "s" }) do
      counts.frames = counts.frames + 1
      add_cell({ op = op, fault = fault, name = "w" .. i .. start, most = 0,
        limited = fault.slow })
    end
  end
end

local capsules = {}

-- Cells of the same fault share a client.
local function capsule_of(cell)
  local slow = cell.fault.slow
  local key = cell.name .. (cell.op.upgrade and "u" or "r")
    .. (cell.limited and "l" or "")
  local ends = slow and not cell.limited
  capsules[key] = capsules[key] or capsule_with(cell.name, {
    timeout = ends and LIMIT or PATIENCE,
    -- What comes before the silence has to come within it. A refusal that has
    -- come has a limit of its own.
    connect_timeout = ends and cell.op.upgrade and not cell.fault.answered
      and OPENING or PATIENCE,
  })
  return capsules[key]
end

-- What the machine has taken from both ends.
local function delayed()
  return figures.delayed() + figures.delayed(p.pid)
end

local function run_cell(cell)
  local capsule = capsule_of(cell)
  local begin, before = core.now(), delayed()
  cell.result, cell.err = wrenn.task.with_timeout(cell.limited and LIMIT
    or FAR, function()
      return cell.op.run(capsule, cell.number)
    end)
  cell.took, cell.delayed = core.now() - begin, delayed() - before
  return true
end

describe("every operation", function()
  it(("survives every fault: %d cells of requests, %d of upgrades, "
    .. "%d of frames"):format(counts.requests, counts.upgrades, counts.frames),
    function()
      -- Those that wait for a deadline, many at once. The others compute, and
      -- must not wait for each other.
      local slow, quick = {}, {}
      for _, cell in ipairs(cells) do
        local list = (cell.fault.slow or cell.limited) and slow or quick
        list[#list + 1] = cell
      end
      assert(wrenn.task.map(slow, run_cell, { concurrency = 128 }))
      assert(wrenn.task.map(quick, run_cell, { concurrency = 16 }))
      local complaints = {}
      for _, cell in ipairs(cells) do
        local what = complaint(cell)
        if what then
          complaints[#complaints + 1] = ("%s, %s%s: %s"):format(cell.op.name,
            cell.fault.name, cell.limited and " (limited)" or "", what)
        end
      end
      table.sort(complaints)
      assert.are.equal("", table.concat(complaints, "\n"))
    end)
end)

describe("without the address of a server", function()
  for _, case in ipairs(faults.addresses) do
    it(case.name .. ": every operation says so at once", function()
      local capsule = capsule_with("ok")
      local base = case.base:format(p.port)
      local settings = capsule.client.settings
      settings.timeout = 30
      -- For each connection the system's many would be read anew.
      settings.ca_file = ca
      settings.base_url, settings.scheme = base, base:match("^%w+")
      settings.proxy_domain = base:gsub("^%w+://", "")
        :gsub("127.0.0.1", "localhost")
      local function call(op, at)
        -- It asks again until its own limit.
        local asks = op.jupyter and not op.order
        if op.thin then
          return true
        end
        local result, err = wrenn.task.with_timeout(asks and 1 or FAR,
          function()
            return op.run(capsule, "-address" .. at)
          end)
        assert.is_nil(result, op.name)
        assert.is_true(err:is(case.expected)
          or asks and err:is("TimeoutError"), op.name .. ": " .. tostring(err))
        return true
      end
      assert(wrenn.task.map(operations, call,
        { concurrency = case.concurrency }))
    end)
  end
end)

describe("all of that", function()
  -- Connections are kept for a while, as many as there once were at the same
  -- time. The peer ends those that wait for a request, and no others.
  local function count_used()
    local client = assert(wrenn.Client(p:options({ timeout = FAR,
      connect_timeout = FAR, base_url = p.url .. "/hang-up" })))
    assert(client.capsules:get("cl-1"))
    collectgarbage()
    collectgarbage()
    return figures.count_fds()
  end

  it("leaves no descriptor behind", function()
    local before
    for round = 1, 4 do
      for _, name in ipairs({ "f1", "f2", "f" .. #faults, "w1s" }) do
        local capsule = capsule_with(name, { timeout = 1 })
        assert(wrenn.task.map(operations, function(op, at)
          if not op.thin then
            wrenn.task.with_timeout(1, function()
              return op.run(capsule, "-round" .. at)
            end)
          end
          return true
        end, { concurrency = 16 }))
      end
      capsules = {}
      if round == 2 then
        count_used()
        assert(wrenn.task.sleep(1.2)) -- libcurl closes once in a second
        before = count_used()
      end
    end
    expect.soon(function() -- what is tidied up holds its client
      return count_used() < before + 4
    end)
  end)
end)
