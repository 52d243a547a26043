-- Finds the wrenn rock. Neovim does not look where LuaRocks installs.

local M = {}

local function trees()
  local home = vim.env.HOME or ""
  return { home .. "/.luarocks", "/usr/local", "/usr" }
end

--- Makes `require "wrenn"` work, if the module is anywhere. Returns nil and the
--- reason if it is not.
function M.load()
  local ok, reason = pcall(require, "wrenn.core")
  for _, tree in ipairs(ok and {} or trees()) do
    if vim.loop.fs_stat(tree .. "/lib/lua/5.1/wrenn/core.so") then
      package.path = ("%s;%s/share/lua/5.1/?.lua;%s/share/lua/5.1/?/init.lua")
        :format(package.path, tree, tree)
      package.cpath = ("%s;%s/lib/lua/5.1/?.so"):format(package.cpath, tree)
      ok, reason = pcall(require, "wrenn.core")
      if ok then
        break
      end
    end
  end
  if not ok then
    return nil, reason
  end
  return require("wrenn")
end

return M
