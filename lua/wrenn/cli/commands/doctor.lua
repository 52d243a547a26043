-- wrenn doctor

local background = require("wrenn.cli.background")

local SKEW = 60 -- seconds that two clocks may differ

local function given(name)
  local value = os.getenv(name)
  return value ~= nil and value ~= "" and value or nil
end

-- What a command prints, and whether it succeeded.
local function try(command)
  local pipe = io.popen(command .. " 2>&1; echo $?")
  local text = pipe:read("*a")
  pipe:close()
  local output, status = text:match("^(.-)%s*(%d+)\n$")
  return status == "0", output
end

local function check_key(_, state)
  if given("WRENN_API_KEY") then
    return "ok", "from WRENN_API_KEY"
  elseif state then
    return "ok", "that of `wrenn local start`"
  end
  return "fail", "WRENN_API_KEY is not set, and no server runs here:"
    .. " wrenn local start"
end

local function check_proxy()
  local set = {}
  for _, name in ipairs({ "https_proxy", "http_proxy", "all_proxy",
    "HTTPS_PROXY", "ALL_PROXY", "no_proxy" }) do
    if given(name) then
      set[#set + 1] = name .. "=" .. given(name):gsub("^(.-://)[^/@]*@",
        "%1***@")
    end
  end
  return "ok", #set > 0 and table.concat(set, " ") or "none"
end

local function check_local()
  local program = given("WRENN_LOCAL") or "wrenn-local"
  local found = try("command -v " .. background.quoted(program))
  if not found then
    return "warn", "wrenn-local is not found"
  end
  local works, why = try(background.quoted(program) .. " -- true </dev/null")
  return works and "ok" or "warn",
    works and program or why:gsub("%s+", " "):gsub("^wrenn%-local: ", "")
end

local function check_bwrap()
  local found, path = try("command -v bwrap")
  if found then
    return "ok", path
  end
  return "warn", "missing: wrenn-local needs it, or --isolation none"
end

-- Asks the server, and what its answer says of the clocks.
local function ask(client)
  local core = require("wrenn.core")
  local http = require("wrenn.wire.http")
  local begin = core.now()
  local answer, err = http.request(client, { method = "GET", path = "/health" })
  if not answer then
    return nil, err
  end
  local dates = require("wrenn.dates")
  local date = http.header(answer, "date")
  return { took = core.now() - begin, date = date,
    time = date and dates.parse(date) }
end

local function check_server(client, report)
  local asked, err = ask(client)
  if not asked then
    report("server", "fail", client.settings.base_url .. ": " .. err.message)
    return
  end
  local health = client:health() or {}
  local traits = require("wrenn.server").of_version(health.version)
  report("server", "ok", ("%s, version %s, answers in %.0f ms")
    :format(client.settings.base_url, health.version or "unknown",
      asked.took * 1000))
  report("generation", traits.generation and "ok" or "warn",
    traits.generation or "unknown: the server does not tell its version")
  local skew = asked.time and os.time() - asked.time
  if not skew then
    report("clock", "warn", "the server does not tell the time")
  else
    report("clock", math.abs(skew) <= SKEW and "ok" or "warn",
      ("differs by %d s from the server's"):format(math.abs(skew)))
  end
  local list
  list, err = client.capsules:list()
  report("access", list and "ok" or "fail",
    list and ("the key is accepted; %d capsules"):format(#list)
      or err.message)
end

local function check_json()
  local ready, why = require("wrenn.wire.json").ready()
  return ready and "ok" or "fail", ready and "works" or why
end

local function run(ctx)
  local layout = require("wrenn.cli.layout")
  local results, failed = require("wrenn.cli.json").array(), false
  local function report(name, how, what)
    failed = failed or how == "fail"
    results[#results + 1] = { check = name, status = how, detail = what }
    if not ctx.json then
      ctx:stream(("%-4s  %-10s  %s"):format(how, name, layout.plain(what)))
    end
  end
  report("wrenn", "ok", ("%s on %s"):format(require("wrenn.version"),
    rawget(_G, "jit") and "LuaJIT" or _VERSION))
  local loaded, why = pcall(require, "wrenn")
  if not loaded then
    report("core", "fail", tostring(why))
  else
    report("json", check_json())
    local options, state = ctx:connection()
    report("key", check_key(ctx, state))
    report("proxy", check_proxy())
    local client, err = require("wrenn").Client(options)
    if client then
      check_server(client, report)
    elseif given("WRENN_API_KEY") then
      report("server", "fail", err.message)
    end
  end
  report("bubblewrap", check_bwrap())
  report("local", check_local())
  if ctx.json then
    ctx:emit(results)
  end
  return failed and 125 or 0
end

return {
  name = "doctor",
  summary = "Checks what wrenn needs, and says what is wrong",
  description = [[
Exits with 125 if something that is needed does not work. A "warn" concerns what
only some commands need.]],
  offline = true,
  run = run,
}
