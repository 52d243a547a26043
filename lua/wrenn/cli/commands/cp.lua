-- wrenn cp SRC DST

local copying = require("wrenn.cli.copying")
local signals = require("wrenn.cli.signals")

-- "-", ID:PATH, or a path of this machine: one with a colon begins with / or .
local function parse(word)
  if word == "-" then
    return { archive = true }
  end
  local id, path = word:match("^([^/.:][^/:]*):(.*)$")
  if id then
    return { id = id, path = path == "" and "." or path }
  end
  return { path = word }
end

-- What docker calls the content of a directory.
local function is_content(path)
  local _, name = copying.split(path)
  return name == "." or name == ".." or name == "/" or name == ""
end

-- Where the source comes to lie: docker's rules. `look` says what is at a path.
local function target(ctx, from, to, look)
  local found = look(to.path)
  if found.type == "directory" then
    if from.type == "directory" and is_content(from.path) then
      return { path = to.path, type = "directory" }
    end
    local _, name = copying.split(from.path)
    local path = to.path:gsub("/*$", "/") .. name
    found = look(path)
    found.path = path
  else
    found.path = to.path
  end
  if found.type == "directory" and from.type ~= "directory" then
    ctx:fail("DST: '%s' is a directory", found.path)
  elseif found.type ~= "directory" and found.type ~= "none"
    and from.type == "directory"
  then
    ctx:fail("DST: '%s' is not a directory", found.path)
  elseif found.type == "none" and not found.has_parent then
    ctx:fail("DST: there is no directory for '%s'", found.path)
  elseif found.type == "none" and from.type ~= "directory"
    and found.path:sub(-1) == "/"
  then
    ctx:fail("DST: there is no directory '%s'", found.path)
  end
  return found
end

local function must_be(ctx, found, path)
  if found.type == "none" then
    ctx:fail("SRC: there is no '%s'", path)
  elseif found.type == "other" then
    ctx:fail("SRC: '%s' is a device, a pipe or a socket", path)
  end
  found.path = path
  return found
end

local function copy(ctx, capsule, from, to, follow)
  local function here(path)
    return copying.look_here(path, true)
  end
  local function there(path)
    return copying.look_there(ctx, capsule, path, true)
  end
  if from.archive then
    if there(to.path).type ~= "directory" then
      ctx:fail("DST: there is no directory '%s'", to.path)
    end
    return copying.archive_in(ctx, capsule, to.path)
  elseif to.archive then
    return copying.archive_out(ctx, capsule, from.path, follow)
  elseif to.id then
    local source = must_be(ctx, copying.look_here(from.path, follow),
      from.path)
    return copying[source.type .. "_in"](ctx, capsule, source,
      target(ctx, source, to, there))
  end
  local source = must_be(ctx,
    copying.look_there(ctx, capsule, from.path, follow), from.path)
  return copying[source.type .. "_out"](ctx, capsule, source,
    target(ctx, source, to, here))
end

local function run(ctx, args)
  local from, to = parse(args.src), parse(args.dst)
  if (from.id == nil) == (to.id == nil) then
    ctx:misuse("one of SRC and DST has to be ID:PATH, the other one not")
  elseif from.archive and ctx.tty.stdin or to.archive and ctx.tty.stdout then
    ctx:misuse("an archive does not come from a terminal, nor go to one")
  end
  require("wrenn.core").ignore_sigpipe()
  local capsule = ctx:capsule(from.id or to.id)
  signals.guard(function()
    copy(ctx, capsule, from, to, args.follow_link)
  end, function() end)
end

return {
  name = "cp",
  summary = "Copies files into or out of a capsule",
  description = [[
One of SRC and DST is ID:PATH, the other one a path of this machine, or - for a
tar archive on stdin or stdout. A path in a capsule that does not begin with /
is below the home directory.

As with docker: a file goes to DST, or into it if that is a directory. A
directory becomes DST, or goes into it if that exists; with /. at the end of SRC
its content does. A link is copied as such, unless -L is given. Modes and times
are kept, owners are not. A file appears under its name when it is complete.]],
  operands = {
    { name = "SRC", complete = "capsule_path" },
    { name = "DST", complete = "capsule_path" },
  },
  options = {
    { "archive", short = "a", help = "for docker's sake: it is always so" },
    { "follow-link", short = "L", help = "copy what SRC leads to" },
    { "quiet", short = "q", help = "show no progress" },
  },
  streams = true,
  examples = {
    { "wrenn cp notes.txt cl-3f:", "into the home directory" },
    { "wrenn cp cl-3f:/var/log ./logs", "a directory" },
    { "wrenn cp cl-3f:src - | tar t", "as an archive" },
  },
  run = run,
}
