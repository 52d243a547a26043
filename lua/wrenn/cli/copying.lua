-- What `wrenn cp` does with one file, link or directory: a temporary name comes
-- first, and what is incomplete is an error.

local cleanup = require("wrenn.task.cleanup")
local core = require("wrenn.core")
local files_base = require("wrenn.files.base")
local ids = require("wrenn.ids")
local layout = require("wrenn.cli.layout")
local nested = require("wrenn.task.nested")
local stdio = require("wrenn.cli.stdio")
local task = require("wrenn.task")

local copying = {}

local function temporary()
  return ".wrenn-cp-" .. ids.random(6)
end

--- Splits a path: the directory, and the name in it. Slashes at the end do not
--- count.
function copying.split(path)
  local bare = path:gsub("(.)/+$", "%1")
  local directory, name = bare:match("^(.*/)([^/]*)$")
  return directory or "./", name or bare
end

-- ---- in the capsule --------------------------------------------------------

-- Prints what is at "$1" (a link itself if "$2"), its mode and its time, whether
-- its directory exists; and on the next line where a link leads to.
local LOOK = [[
if [ -L "$1" ] && [ "$2" ]; then k=link
elif [ -d "$1" ]; then k=directory
elif [ -f "$1" ]; then k=file
elif [ -e "$1" ]; then k=other
else k=none; fi
p=no
[ -d "$(dirname -- "$1")" ] && p=yes
printf '%s %s %s\n' $k $p "$(stat -Lc '%a %Y %s' -- "$1" 2>/dev/null)"
[ $k != link ] || readlink -n -- "$1"
]]

local function script(ctx, capsule, line, ...)
  local result = ctx:check(capsule.commands:run("/bin/sh", { timeout = 600,
    args = { "-c", line, "sh", ... } }))
  if result.exit_code ~= 0 then
    ctx:fail("%s", layout.plain((result.stderr:gsub("%s+$", ""))))
  end
  return result.stdout
end

-- A path as an argument in the capsule.
local function argument(ctx, path)
  return ctx:check(files_base.argument(path))
end

--- What is at a path of the capsule: {type, mode, mtime, size, target,
--- has_parent}.
function copying.look_there(ctx, capsule, path, follow)
  local text = script(ctx, capsule, LOOK, argument(ctx, path),
    follow and "" or "link")
  local kind, parent, rest, target = text:match("^(%l+) (%l+) ([^\n]*)\n(.*)$")
  local mode, mtime, size = rest:match("^(%d+) (%d+) (%d+)$")
  return { type = kind, has_parent = parent == "yes", target = target,
    mode = mode and tonumber(mode, 8) % 512, mtime = tonumber(mtime),
    size = tonumber(size) }
end

--- The same for a path of this machine.
function copying.look_here(path, follow)
  local directory, name = copying.split(path)
  local found = { type = core.file_type(path) or "none",
    has_parent = core.file_type(directory) == "directory" }
  local tree = found.has_parent and core.tree(directory)
  for _, entry in ipairs(tree and tree:list() or {}) do
    if entry.name == name then
      if entry.type ~= "symlink" then
        found.mode, found.mtime = entry.mode % 512, entry.mtime
      elseif not follow and path:sub(-1) ~= "/" then
        found.type, found.target = "link", entry.target
      end
    end
  end
  if tree then
    tree:close()
  end
  return found
end

-- ---- progress --------------------------------------------------------------

-- Returns a function that shows how much has been copied, and one that removes
-- that, where there is a terminal to show it on.
local function progress(ctx, name)
  if ctx.quiet or ctx.json or not ctx.tty.stderr
    or os.getenv("TERM") == "dumb"
  then
    return nil, function() end
  end
  local shown
  return function(bytes, total)
    local now = core.now()
    if now - (shown or 0) > 0.1 then
      shown = now
      io.stderr:write(("\r%s  %s%s\27[K"):format(layout.plain(name),
        layout.bytes(bytes), total and " / " .. layout.bytes(total) or ""))
    end
  end, function()
    if shown then
      io.stderr:write("\r\27[K")
    end
  end
end

-- ---- into the capsule ------------------------------------------------------

-- "$1" becomes "$2", with the mode "$3" and the time "$4", as far as given.
local PLACE = [[
[ -z "$3" ] || chmod "$3" "$1" && touch -d "@$4" "$1" || exit
mv -f -- "$1" "$2"
]]

local LINK = [[
ln -s -- "$1" "$2" && mv -f -- "$2" "$3"
]]

function copying.file_in(ctx, capsule, from, to)
  local directory = copying.split(to.path)
  local stage = directory .. temporary()
  local show, clear = progress(ctx, from.path)
  local done
  local ok, raised = nested.call(function()
    ctx:check(capsule.files:upload(from.path, stage, { on_progress = show }))
    script(ctx, capsule, PLACE, argument(ctx, stage), argument(ctx, to.path),
      from.mode and ("%o"):format(from.mode) or "",
      ("%d"):format(from.mtime or 0))
    done = true
  end)
  clear()
  if not done then
    cleanup.run(capsule.client, "remove " .. stage, capsule.files.remove,
      capsule.files, stage)
  end
  if not ok then
    error(raised, 0)
  end
end

function copying.link_in(ctx, capsule, from, to)
  local directory = copying.split(to.path)
  script(ctx, capsule, LINK, from.target,
    argument(ctx, directory .. temporary()), argument(ctx, to.path))
end

-- What tar says of files that changed, and what it leaves out.
local function complain(ctx, result)
  if result.warnings then
    ctx:fail("the copy may be incomplete: %s", layout.plain(result.warnings))
  elseif #result.skipped > 0 then
    ctx:fail("not copied, because it is a device, a pipe or a socket: %s",
      layout.plain(table.concat(result.skipped, ", ")))
  end
end

function copying.directory_in(ctx, capsule, from, to)
  local show, clear = progress(ctx, from.path)
  local result, err = capsule.files:upload_dir(from.path, to.path,
    { on_progress = show })
  clear()
  ctx:check(result, err)
  if to.type == "none" and from.mode then
    script(ctx, capsule, 'chmod "$2" "$1" && touch -d "@$3" "$1"',
      argument(ctx, to.path), ("%o"):format(from.mode),
      ("%d"):format(from.mtime))
  end
  complain(ctx, result)
end

--- Unpacks an archive from stdin into a directory of the capsule.
function copying.archive_in(ctx, capsule, path)
  local stream = ctx:check(capsule.commands:stream("tar", { bytes = true,
    stdin = true, args = { "-xpf", "-", "--no-same-owner", "-C",
      argument(ctx, path) } }))
  local pumping = task.spawn(function()
    repeat
      local bytes = stdio.read(0)
    until not bytes or bytes == "" or not stream:write(bytes)
    return stream:close_stdin()
  end)
  local result = ctx:check(stream:wait())
  pumping:cancel()
  if result.exit_code ~= 0 then
    ctx:fail("%s", layout.plain((result.stderr:gsub("%s+$", ""))))
  end
end

-- ---- out of the capsule ----------------------------------------------------

local function try(ctx, object, method, ...)
  local result, why = object[method](object, ...)
  if not result then
    ctx:fail("%s", why)
  end
  return result
end

local function open_tree(ctx, path)
  local tree, why = core.tree(path)
  if not tree then
    ctx:fail("%s", why)
  end
  return tree
end

-- Calls fn(tree, stage) with the directory of a path and a temporary name in it,
-- which is gone afterwards.
local function staged(ctx, path, fn)
  local directory, name = copying.split(path)
  local tree = open_tree(ctx, directory)
  local stage = temporary()
  local ok, raised = nested.call(fn, tree, stage, name)
  if not ok then
    tree:remove(stage)
  end
  tree:close()
  if not ok then
    error(raised, 0)
  end
end

function copying.file_out(ctx, capsule, from, to)
  local show, clear = progress(ctx, from.path)
  local stream = ctx:check(capsule.files:download_stream(from.path))
  staged(ctx, to.path, function(tree, stage, name)
    local file = try(ctx, tree, "create", stage)
    local size = 0
    while true do
      local piece, err = stream:read()
      if err then
        clear()
        ctx:check(nil, err)
      elseif not piece then
        break
      end
      try(ctx, file, "write", piece)
      size = size + #piece
      if show then
        show(size, from.size)
      end
    end
    clear()
    try(ctx, file, "finish", from.mode or 420, from.mtime or os.time())
    try(ctx, tree, "rename", stage, name)
  end)
end

function copying.link_out(ctx, _, from, to)
  staged(ctx, to.path, function(tree, stage, name)
    try(ctx, tree, "symlink", stage, from.target)
    try(ctx, tree, "rename", stage, name)
  end)
end

-- Moves what is below one directory into another, which has some of it already;
-- removes the first.
local function merge(ctx, from, to)
  local tree = open_tree(ctx, from)
  local list = try(ctx, tree, "list")
  tree:close()
  for _, entry in ipairs(list) do
    local a, b = from .. "/" .. entry.name, to .. "/" .. entry.name
    local there = copying.look_here(b)
    if entry.type == "directory" and there.type == "directory" then
      merge(ctx, a, b)
    else
      local ok, why = os.rename(a, b)
      if not ok then
        ctx:fail("%s", why)
      end
    end
  end
  os.remove(from)
end

-- Removes a directory with what is in it.
local function remove_tree(path)
  local tree = core.tree(path)
  for _, entry in ipairs(tree and tree:list() or {}) do
    if entry.type == "directory" then
      remove_tree(path .. "/" .. entry.name)
    else
      tree:remove(entry.name)
    end
  end
  if tree then
    tree:close()
  end
  os.remove(path)
end

function copying.directory_out(ctx, capsule, from, to)
  local directory, name = copying.split(to.path)
  local stage = directory .. temporary()
  local result
  local show, clear = progress(ctx, from.path)
  local ok, raised = nested.call(function()
    local err
    result, err = capsule.files:download_dir(from.path, stage,
      { on_progress = show })
    clear()
    ctx:check(result, err)
    if to.type == "directory" then
      return merge(ctx, stage, to.path)
    end
    local tree = open_tree(ctx, directory)
    local stage_name = stage:sub(#directory + 1)
    try(ctx, tree, "set", stage_name, from.mode or 493,
      from.mtime or os.time())
    try(ctx, tree, "rename", stage_name, name)
    tree:close()
  end)
  if not ok then
    remove_tree(stage)
    error(raised, 0)
  end
  complain(ctx, result)
end

--- Writes an archive of a path of the capsule to stdout.
function copying.archive_out(ctx, capsule, path, follow)
  local directory, name = copying.split(path)
  local stream = ctx:check(capsule.commands:stream("tar", { bytes = true,
    args = { "--format=gnu", follow and "-hcf" or "-cf", "-", "-C",
      argument(ctx, directory), "--", name } }))
  local said = {}
  local status = stdio.copy(ctx, stream, function(bytes)
    said[#said + 1] = bytes
  end)
  if status ~= 0 then
    ctx:fail("%s", layout.plain(table.concat(said)))
  end
end

return copying
