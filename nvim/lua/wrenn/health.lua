-- :checkhealth wrenn.

local M = {}

local health = vim.health or require("health")
local start = health.start or health.report_start
local ok = health.ok or health.report_ok
local warn = health.warn or health.report_warn
local failed = health.error or health.report_error

local function check_server(wrenn)
  local session = require("wrenn_nvim.session")
  local found, err = session.wait(10, function()
    local client = wrenn.check(wrenn.Client(
      require("wrenn_nvim.config").values.client))
    return { url = client.settings.base_url, list = session.list() }
  end)
  if found then
    ok(("%s answers; it has %d capsules of yours"):format(found.url,
      #found.list))
  else
    failed(tostring(err), { "set WRENN_API_KEY, and WRENN_BASE_URL for a"
      .. " server of your own", "or start nvim by: wrenn local -- nvim" })
  end
end

function M.check()
  start("wrenn")
  if not package.loaded.jit then
    failed("this Neovim has no LuaJIT: the rock has to be built for its Lua")
  end
  local wrenn, reason = require("wrenn_nvim.rock").load()
  if not wrenn then
    failed("the Lua module is not found, or not built for this Lua: " .. reason,
      { "luarocks --lua-version 5.1 --local install wrenn",
        "cmake --install of a build with -DWRENN_LUA=luajit" })
    return
  end
  ok(("the Lua module is there, version %s"):format(wrenn._VERSION))
  local sound, why = pcall(function()
    require("wrenn.wire.json").encode({})
  end)
  if sound then
    ok("JSON is sound")
  else
    failed(tostring(why))
  end
  if not (vim.lsp and vim.lsp.start) then
    warn("language servers in a capsule need Neovim 0.8")
  end
  check_server(wrenn)
end

return M
