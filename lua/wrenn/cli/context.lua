--- What a command is given to work with: its output, the client, the capsules
--- that the user names.
---
--- stdout is data, stderr is talk. A failure ends the command by raising: see
--- ctx:check and wrenn.cli.exit.

local exit = require("wrenn.cli.exit")

---@class wrenn.cli.Context
---@field name string       the command's, with its subcommand
---@field json boolean      whether --json was given
---@field quiet boolean     whether -q was given
---@field tty {stdin: boolean, stdout: boolean, stderr: boolean}  which of them
---  are terminals
---@field streams? boolean  silence of the server is normal for this command
local Context = {}
Context.__index = Context

local M = {}

-- Seconds without an answer after which a person wants to know.
local SILENCE = 2
local ID_LENGTH = 28

function M.new(terminals)
  local function is(digit)
    return terminals:find(digit, 1, true) ~= nil
  end
  return setmetatable({ name = "", json = false, quiet = false,
    tty = { stdin = is("0"), stdout = is("1"), stderr = is("2") } }, Context)
end

-- ---- output ----------------------------------------------------------------

--- Writes bytes to stdout. Ends the command if nobody reads them any more.
function Context:write(bytes)
  if not io.stdout:write(bytes) then
    exit.raise(exit.CLOSED_PIPE)
  end
end

--- Writes a line to stdout.
function Context:print(line)
  self:write(line .. "\n")
end

--- Writes a line of what comes bit by bit: it is to be seen at once.
function Context:stream(line)
  self:write(line .. "\n")
  if not io.stdout:flush() then
    exit.raise(exit.CLOSED_PIPE)
  end
end

--- Prints a value as one line of JSON.
function Context:emit(value)
  self:stream(require("wrenn.cli.json").text(value))
end

--- Says something to the person, on stderr.
function Context:say(format, ...)
  local text = select("#", ...) > 0 and format:format(...) or format
  io.stderr:write("wrenn: ", text, "\n")
end

--- Whether text on stdout ("stdout") or stderr may be in colour or bold.
function Context:is_fancy(stream)
  local no_color = os.getenv("NO_COLOR")
  return self.tty[stream] and not self.json and os.getenv("TERM") ~= "dumb"
    and (no_color == nil or no_color == "")
end

--- Bold text, where the terminal can show it.
function Context:bold(text, stream)
  return self:is_fancy(stream or "stdout") and "\27[1m" .. text .. "\27[0m"
    or text
end

--- Prints rows of strings under headings.
function Context:table(headings, rows)
  require("wrenn.cli.layout").table(self, headings, rows)
end

--- Reports how the command failed.
function Context:report(how)
  if not how.message then
    return
  end
  if self.json then
    local json = require("wrenn.cli.json")
    io.stderr:write(json.text({ error = { type = how.type,
      message = how.message, code = how.code, status_code = how.status_code,
      request_id = how.request_id, exit_code = how.status } }), "\n")
    return
  end
  local layout = require("wrenn.cli.layout")
  local name = self.name == "" and "wrenn" or "wrenn " .. self.name
  io.stderr:write(name, ": ", layout.plain(how.message), how.notes, "\n")
  if how.misuse then
    io.stderr:write("Try: ", name, " --help\n")
  elseif how.hint then
    io.stderr:write(how.hint, "\n")
  end
end

-- ---- failures --------------------------------------------------------------

--- Passes values on, or ends the command with the error behind nil.
function Context:check(...)
  if (...) == nil or (...) == false then
    local err = select(2, ...)
    error(err == nil and "check failed" or err, 0)
  end
  return ...
end

--- Ends the command because it was called wrongly; the message begins with the
--- flag or operand.
function Context:misuse(format, ...)
  return exit.misuse(format, ...)
end

--- Ends the command with a failure of wrenn's own (125).
function Context:fail(format, ...)
  return exit.raise(exit.FAILED,
    select("#", ...) > 0 and format:format(...) or format)
end

--- Calls a function with each item, and goes on where it fails. Returns the
--- exit status: that of the first failure.
function Context:for_each(list, fn)
  local nested = require("wrenn.task.nested") -- a pcall in a task, on any Lua
  local status = 0
  for _, item in ipairs(list) do
    local ok, raised = nested.call(fn, item)
    if not ok then
      local how = exit.describe(raised)
      if how.status == exit.CLOSED_PIPE or how.status == exit.INTERRUPTED then
        error(raised, 0)
      end
      self:report(how)
      status = status == 0 and how.status or status
    end
  end
  return status
end

--- The same with the ids that texts stand for. Prints each id when `fn` has
--- returned; as JSON, an array of what it has returned.
function Context:each_capsule(texts, fn)
  local done = {}
  local status = self:for_each(texts, function(text)
    local id = self:id(text)
    done[#done + 1] = fn(id)
    if not self.json and not self.quiet then
      self:stream(id)
    end
  end)
  if self.json then
    self:emit(require("wrenn.cli.json").array(done))
  end
  return status
end

--- Asks a person for consent. Without a terminal that is misuse: `flag` would
--- have been needed.
function Context:confirm(question, flag)
  if not (self.tty.stdin and self.tty.stderr) then
    exit.misuse("%s is needed where there is no terminal to ask on", flag)
  end
  io.stderr:write(question, " [y/N] ")
  local answer = io.stdin:read("*l")
  return answer ~= nil and answer:lower():find("^y") ~= nil
end

-- ---- the client ------------------------------------------------------------

-- A person who waits is told for what, once.
local function watch_silence(ctx, client)
  if not ctx.tty.stderr or ctx.json or ctx.streams then
    return
  end
  require("wrenn.task.scheduler").after(SILENCE, function()
    if not ctx.heard then
      ctx:say("still waiting for %s", client.settings.base_url)
    end
  end)
end

local function given(name)
  local value = os.getenv(name)
  return value ~= nil and value ~= ""
end

--- Options for wrenn.Client: the environment's, or without a key those of the
--- server that `wrenn local start` has started, and that server's state.
function Context:connection()
  if given("WRENN_API_KEY") then
    return {}
  end
  local state = require("wrenn.cli.background").find()
  if not state then
    return {}
  end
  return { base_url = state.url, api_key = state.key }, state
end

--- The client, made at the first call.
---@return wrenn.Client
function Context:client()
  if not self.made then
    local options, state = self:connection()
    options.on_event = function()
      self.heard = true
    end
    self.made = self:check(require("wrenn").Client(options))
    if state and require("wrenn.cli.background").is_news(state) then
      self:say("using the server of `wrenn local start` at %s", state.url)
    end
    watch_silence(self, self.made)
  end
  return self.made
end

local function starts_with(text, prefix)
  return text:sub(1, #prefix) == prefix
end

-- The item of a list that a text names: its id, its name, or the beginning of
-- one id. `what` is for the error.
local function choose(list, text, what)
  local found, others = nil, 0
  for _, item in ipairs(list) do
    if item.id == text or item.name == text then
      return item
    elseif text ~= "" and (starts_with(item.id, text)
      or starts_with(item.id:gsub("^%l+%-", ""), text))
    then
      found, others = item, others + (found and 1 or 0)
    end
  end
  if others > 0 then
    exit.raise(exit.FAILED, ("'%s' is the beginning of %d %ss' ids: give more"
      .. " of it"):format(text, others + 1, what))
  elseif not found then
    exit.raise(exit.FAILED, ("there is no %s '%s'"):format(what, text))
  end
  return found
end

--- The id of the capsule that an id, or the beginning of one, names. Ends the
--- command if there is none, or more than one.
function Context:id(text)
  if #text == ID_LENGTH and text:find("^cl%-%w+$") then
    return text
  end
  local list = self:check(self:client().capsules:list())
  return choose(list, text, "capsule").id
end

--- The capsule that an id, or the beginning of one, names: running, and woken if
--- it was paused.
---@return wrenn.Capsule
function Context:capsule(text, opts)
  opts = opts or {}
  opts.client = self:client()
  return self:check(require("wrenn").Capsule.connect(self:id(text), opts))
end

--- The same choice among other things that have ids.
Context.choose = function(_, list, text, what)
  return choose(list, text, what)
end

return M
