-- wrenn exec ID CMD [ARG...]

local execute = require("wrenn.cli.execute")

local function run(ctx, args)
  execute.check(ctx, args)
  return execute.run(ctx, ctx:capsule(args.id), args)
end

return {
  name = "exec",
  summary = "Runs a command in a capsule",
  description = [[
The words are passed on as they are: no shell is involved unless the command is
one. stdout, stderr and the exit status are the command's. stdin is passed on
only with -i. Ctrl-C is passed on, too; a second one kills the command.]],
  operands = {
    { name = "ID", complete = "capsule", env = "WRENN_CAPSULE" },
    execute.operand,
  },
  options = execute.options,
  stops = true,
  streams = true,
  raw = true,
  examples = {
    { "wrenn exec cl-3f make test", "a program with an argument" },
    { "tar c . | wrenn exec -i cl-3f tar x", "with the bytes of stdin" },
    { "wrenn exec -it cl-3f python3", "in a terminal" },
    { "wrenn exec -d cl-3f ./server", "left running; see wrenn logs" },
  },
  run = run,
}
