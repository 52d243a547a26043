-- wrenn forward ID [LOCAL:]PORT...

local function run(ctx, args)
  return require("wrenn.cli.forwarding").run(ctx, ctx:capsule(args.id),
    args.ports)
end

return {
  name = "forward",
  summary = "Makes ports of a capsule reachable on this machine",
  description = [[
Listens on 127.0.0.1, and on ::1 where there is that, and passes HTTP and
WebSockets on to the capsule's ports, until it is ended. Prints a URL for each,
in the order of the operands. LOCAL is the port here: the same one if it is left
out, any free one if it is 0 or empty. With WRENN_CAPSULE, -- stands for the ID.
Requests reach the service as those to the URL of the port do (wrenn help url),
without the API key. Whoever has an account on this machine reaches it, too.]],
  operands = {
    { name = "ID", complete = "capsule", env = "WRENN_CAPSULE" },
    { name = "[LOCAL:]PORT", key = "ports", type = "forward", many = true },
  },
  examples = {
    { "wrenn forward cl-3f 8080", "http://127.0.0.1:8080" },
    { "wrenn forward cl-3f 0:8080 9000:80", "two ports" },
  },
  streams = true,
  run = run,
}
