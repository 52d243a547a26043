-- wrenn url ID PORT

local function run(ctx, args)
  -- The URL needs no request, and must not wake the capsule.
  local url = require("wrenn.capsule.proxy").url(
    { id = ctx:id(args.id), client = ctx:client() }, args.port,
    args.ws and "ws" or "http")
  if ctx.json then
    ctx:emit({ url = url })
  else
    ctx:print(url)
  end
end

return {
  name = "url",
  summary = "Prints the URL of a port of a capsule",
  description = [[
Whoever has the URL reaches what listens on the port; the API key is not needed
for it.]],
  operands = {
    { name = "ID", complete = "capsule", env = "WRENN_CAPSULE" },
    { name = "PORT", type = "port" },
  },
  options = { { "ws", help = "the URL for WebSockets" } },
  examples = { { "curl \"$(wrenn url cl-3f 8080)/\"", "ask a web server" } },
  run = run,
}
