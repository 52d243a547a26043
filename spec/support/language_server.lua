-- A language server as a process that is asked about a folder, as editors do.

local cjson = require("cjson")
local uv = require("luv")

local language_server = {}
language_server.__index = language_server

-- Milliseconds for an answer; most take a few seconds on a busy machine.
local PATIENCE = 120000

local function uri(path)
  return "file://" .. assert(uv.fs_realpath(path))
end

local function send(self, message)
  message.jsonrpc = "2.0"
  local body = cjson.encode(message)
  self.input:write(("Content-Length: %d\r\n\r\n%s"):format(#body, body))
end

-- The next message that has arrived whole.
local function next_message(self)
  local length, at = self.rest:match("Content%-Length: (%d+).-\r\n\r\n()")
  if at and #self.rest >= at + length - 1 then
    local body = self.rest:sub(at, at + length - 1)
    self.rest = self.rest:sub(at + length)
    return cjson.decode(body)
  end
end

local function await(self, id)
  while true do
    local message = next_message(self)
    if not message then
      assert(not self.ended, "the language server has ended")
      uv.run("once")
    elseif message.method and message.id then -- it asks for our settings
      send(self, { id = message.id, result = cjson.null })
    elseif message.id == id then
      return assert(message.result, cjson.encode(message.error or {}))
    end
  end
end

--- Asks, and returns the answer.
function language_server:ask(method, params)
  self.asked = self.asked + 1
  self.timer:start(PATIENCE, 0, function()
    self.process:kill("sigkill")
  end)
  send(self, { id = self.asked, method = method, params = params })
  local result = await(self, self.asked)
  self.timer:stop()
  return result
end

--- Starts a program for a folder. What it keeps goes to another one.
function language_server.start(program, folder, home)
  local self = setmetatable({ asked = 0, rest = "" }, language_server)
  self.input, self.timer = uv.new_pipe(), uv.new_timer()
  self.output = uv.new_pipe()
  self.process = assert(uv.spawn(program, {
    args = { "--resources-path", "none", "--log-level", "error" },
    stdio = { self.input, self.output },
    env = { "HOME=" .. home, "PATH=/usr/bin:/bin" },
  }, function()
    self.ended = true
  end))
  self.output:read_start(function(_, data)
    self.rest = self.rest .. (data or "")
  end)
  self.root = uri(folder)
  self:ask("initialize", {
    processId = uv.os_getpid(), rootUri = self.root,
    workspaceFolders = { { uri = self.root, name = "spec" } },
    capabilities = { textDocument = { diagnostic = {} },
      workspace = { diagnostics = {}, workspaceFolders = true } },
  })
  send(self, { method = "initialized", params = {} })
  return self
end

--- What it finds, as "FILE:LINE: CODE: MESSAGE", in a list in order, and in how
--- many files it has looked.
function language_server:findings()
  local list = {}
  local known = { { uri = self.root, value = "" } } -- {} would be an object
  local files = self:ask("workspace/diagnostic",
    { previousResultIds = known }).items
  for _, file in ipairs(files) do
    for _, found in ipairs(file.items) do
      list[#list + 1] = ("%s:%d: %s: %s"):format(
        file.uri:sub(#self.root + 2), found.range.start.line + 1, found.code,
        found.message)
    end
  end
  table.sort(list)
  return list, #files
end

--- What it offers behind the last of a text, which becomes a file: a set.
function language_server:offers(name, text)
  local document = { uri = self.root .. "/" .. name, languageId = "lua",
    version = 1, text = text }
  send(self, { method = "textDocument/didOpen",
    params = { textDocument = document } })
  local line, last = 0, text
  for rest in text:gmatch("\n([^\n]*)") do
    line, last = line + 1, rest
  end
  local answer = self:ask("textDocument/completion", {
    textDocument = { uri = document.uri },
    position = { line = line, character = #last },
  })
  local set = {}
  for _, item in ipairs(answer.items or answer) do
    set[item.label:match("^[%w_]+") or item.label] = true
  end
  return set
end

function language_server:stop()
  self.process:kill("sigkill")
  while not self.ended do
    uv.run("once")
  end
  for _, handle in ipairs({ self.input, self.output, self.timer,
    self.process })
  do
    handle:close()
  end
  uv.run()
end

return language_server
