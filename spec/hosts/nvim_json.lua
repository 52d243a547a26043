-- JSON in Neovim, with a cjson.so in reach that was built for something else.

local core = require("wrenn.core")
local json = require("wrenn.wire.json")
local wrenn = require("wrenn")

local function say(name, value)
  io.stdout:write(name, " ", (tostring(value):gsub("\n", "/")), "\n")
end

local function look()
  say("version", vim.version().minor)
  local text = json.encode({ path = "/root/x", cmd = "/bin/sh", none = {},
    args = { "-c", "true" }, half = 0.25 })
  local value = core.json(text) or {}
  say("encoded", ("%s,%s,%s,%s,%s"):format(value.path, value.cmd,
    (value.args or {})[2], text:match('"none":(..)'), value.half))
  say("with_cjson", package.loaded.cjson ~= nil)

  -- A configuration of the program's is not the library's.
  if vim.json.encode_number_precision then
    vim.json.encode_number_precision(1)
    vim.json.encode_sparse_array(true)
  end
  package.loaded["wrenn.wire.json"] = nil
  local again = require("wrenn.wire.json")
  say("precise", again.encode({ 0.123456789 }))
  say("sparse", (pcall(again.encode, { [1000] = 1 })))

  local capsule = wrenn.check(wrenn.Capsule.create({ wait = true }))
  local files = capsule.files
  wrenn.check(files:write("a", "b"))
  wrenn.check(files:write("kept", "c"))
  wrenn.check(files:remove("a"))
  say("removed", files:exists("a") == false and files:exists("kept") == true)
  say("ran", wrenn.check(capsule.commands:run("echo $A", {
    envs = { A = "b" }, args = nil })).stdout)
  wrenn.check(capsule.commands:run("true", { envs = {} }))
  wrenn.check(capsule:destroy())

  vim.json = { encode = function()
    return '{"path":"/root/x/bin/sh"}'
  end, decode = vim.json.decode }
  for _, name in ipairs({ "wire.json", "client.config", "client" }) do
    package.loaded["wrenn." .. name] = nil
  end
  local _, err = require("wrenn.client").new({ api_key = "k" })
  say("refused", err)
end

local ok, why = pcall(look)
say("finished", ok or why)
vim.cmd("qa!")
