-- Language servers inside a capsule. They know the files by file:// URIs, the
-- editor knows the same files by wrenn:// ones: what passes is translated.

local file = require("wrenn_nvim.file")
local rpc = require("wrenn_nvim.rpc")
local session = require("wrenn_nvim.session")

local M = {}

-- A copy of a value in which the URIs, also those that are names of fields,
-- begin with `to` instead of `from`.
local function translated(value, from, to)
  if type(value) == "string" then
    return value:sub(1, #from) == from and to .. value:sub(#from + 1) or value
  elseif type(value) ~= "table" then
    return value
  end
  local copy = setmetatable({}, getmetatable(value)) -- may mark an empty object
  for key, item in pairs(value) do
    copy[translated(key, from, to)] = translated(item, from, to)
  end
  return copy
end

--- Starts a language server for the current buffer, as vim.lsp.start does, or
--- attaches the buffer to one that runs. The options are those of vim.lsp.start;
--- `cmd` is a list of words, and `root` a directory, both in the capsule. Returns
--- the id of the client, or nil.
function M.start(options)
  if not vim.lsp.start then
    return session.notify("language servers in a capsule need Neovim 0.8")
  end
  local id, path = file.parse(vim.api.nvim_buf_get_name(0))
  if not id then
    return session.notify("this buffer is not a file of a capsule")
  end
  local root = options.root or vim.fs.dirname(path)
  local here, there = "wrenn://" .. id .. "/", "file:///"
  local config = vim.tbl_extend("force", options, {
    name = options.name or options.cmd[1],
    root_dir = file.name(id, root),
    workspace_folders = { { uri = file.name(id, root), name = root } },
    cmd = function(dispatchers)
      return rpc.start(dispatchers, {
        open = function()
          local capsule = session.open(id)
          return capsule.commands:stream(options.cmd[1], {
            args = vim.list_slice(options.cmd, 2), cwd = root, stdin = true,
            bytes = true,
          })
        end,
        out = function(message)
          local params = message.params
          if message.method == "initialize" then -- of this machine
            params.processId, params.rootPath = vim.NIL, nil
          end
          return translated(message, here, there)
        end,
        back = function(message)
          return translated(message, there, here)
        end,
      })
    end,
  })
  config.root = nil
  return vim.lsp.start(config)
end

return M
