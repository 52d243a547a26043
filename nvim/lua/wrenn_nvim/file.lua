-- wrenn:// buffers: the files and directories of a capsule. While one is read or
-- written the editor waits, so that what follows, as in :wq, finds it done.

local config = require("wrenn_nvim.config")
local session = require("wrenn_nvim.session")
local wrenn = require("wrenn")

local api = vim.api

local M = {}

--- The name of the buffer of a file.
function M.name(id, path)
  return ("wrenn://%s%s"):format(id, path)
end

--- The capsule and the path in a buffer's name, or nil.
function M.parse(name)
  return name:match("^wrenn://(cl%-%w+)(/.*)$")
end

local function wait(fn)
  return session.wait(config.values.patience, fn)
end

local function in_temporary(fn)
  local path = vim.fn.tempname()
  local ok, err = pcall(fn, path)
  vim.fn.delete(path)
  if not ok then
    session.notify(err)
  end
  return ok
end

local function open(id, path)
  vim.cmd("edit " .. vim.fn.fnameescape(M.name(id, path)))
end

-- ---- reading ---------------------------------------------------------------

local function show_directory(buffer, id, path, entries)
  local base = path:gsub("/*$", "/")
  local lines = {}
  for _, entry in ipairs(entries) do
    lines[#lines + 1] = entry.name .. (entry.type == "directory" and "/" or "")
  end
  table.sort(lines)
  vim.bo[buffer].modifiable = true
  api.nvim_buf_set_lines(buffer, 0, -1, true, lines)
  vim.bo[buffer].buftype = "nofile"
  vim.bo[buffer].modifiable = false
  local function map(key, target)
    vim.keymap.set("n", key, function()
      open(id, target())
    end, { buffer = buffer })
  end
  map("<CR>", function()
    return base .. api.nvim_get_current_line()
  end)
  map("-", function()
    return base:match("^(.+/)[^/]*/$") or "/"
  end)
end

local function read_into(buffer, temporary)
  vim.cmd("silent keepalt read ++edit " .. vim.fn.fnameescape(temporary))
  local levels = vim.bo[buffer].undolevels
  vim.bo[buffer].undolevels = -1 -- reading is not to be undone
  vim.cmd("silent 1delete _")
  vim.bo[buffer].undolevels = levels
end

--- Fills the current buffer, which has this name.
function M.read(buffer, name)
  local id, path = M.parse(name)
  vim.bo[buffer].swapfile = false
  vim.b[buffer].editorconfig = false -- it would be read on this machine
  in_temporary(function(temporary)
    local entry, err = wait(function()
      local capsule = session.open(id)
      local found, why = capsule.files:stat(path)
      if not found then
        return why:is("NotFoundError") and { is_new = true } or nil, why
      elseif found.type == "directory" then
        return { entries = wrenn.check(capsule.files:list(path)) }
      end
      wrenn.check(capsule.files:download(path, temporary))
      return found
    end)
    if not entry then
      error(err, 0)
    elseif entry.is_new then
      api.nvim_echo({ { ('"%s" [New]'):format(name) } }, false, {})
    elseif entry.entries then
      show_directory(buffer, id, path, entry.entries)
    else
      read_into(buffer, temporary)
    end
    vim.bo[buffer].modified = false
  end)
  api.nvim_exec_autocmds("BufReadPost", { buffer = buffer })
end

-- ---- writing ---------------------------------------------------------------

--- Writes the current buffer, or the lines of a range, to this name.
function M.write(buffer, name)
  local id, path = M.parse(name)
  local first, last = vim.fn.line("'["), vim.fn.line("']")
  local is_whole = first == 1 and last == vim.fn.line("$")
  local done = in_temporary(function(temporary)
    vim.cmd(("silent noautocmd keepalt %d,%dwrite! %s"):format(first, last,
      vim.fn.fnameescape(temporary)))
    local written, err = wait(function()
      return session.open(id).files:upload(temporary, path)
    end)
    if not written then
      error(err, 0)
    end
  end)
  if done then
    if is_whole and name == api.nvim_buf_get_name(buffer) then
      vim.bo[buffer].modified = false
    end
    api.nvim_echo({ { ('"%s" %dL written'):format(name, last - first + 1) } },
      false, {})
    api.nvim_exec_autocmds("BufWritePost", { buffer = buffer })
  end
end

--- :WrennEdit [path]: opens a file or directory of the session's capsule; a
--- relative path begins at the home directory.
function M.edit(args)
  session.attempt(function()
    local capsule = session.get()
    local path = args.args
    if path:sub(1, 1) ~= "/" then
      local home = wrenn.check(capsule.commands:run('printf %s "$HOME"')).stdout
      path = home:gsub("/*$", "/") .. path
    end
    open(capsule.id, path)
  end)
end

return M
