-- wrenn man [COMMAND]

local function write(ctx, path, text)
  local file, why = io.open(path, "w")
  if not file or not file:write(text) or not file:close() then
    ctx:fail("a page cannot be written: %s", why or path)
  end
end

local function run(ctx, args)
  local manual = require("wrenn.cli.manual")
  if args.install then
    if args.command then
      ctx:misuse("--install writes all pages, and takes no COMMAND")
    end
    for name, text in pairs(manual.pages()) do
      write(ctx, args.install .. "/" .. name, text)
    end
    return
  end
  local page = manual.page(args.command)
  if not page then
    ctx:misuse("COMMAND: there is no command '%s'", args.command)
  end
  ctx:write(page)
end

return {
  name = "man",
  summary = "Prints man pages",
  operands = {
    { name = "COMMAND", optional = true, complete = "command" },
  },
  options = {
    { "install", value = "DIR", complete = "directory",
      help = "write all pages into a folder" },
  },
  examples = {
    { "wrenn man exec | man -l -", "read one" },
    { "wrenn man --install ~/.local/share/man/man1", "for man wrenn-exec" },
  },
  offline = true,
  run = run,
}
