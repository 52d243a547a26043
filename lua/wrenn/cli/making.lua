-- The options of the commands that create a capsule.

local parser = require("wrenn.cli.parser")
local types = require("wrenn.cli.types")

local making = {}

making.options = {
  { "template", short = "T", value = "NAME", complete = "template",
    help = "the server's default when absent" },
  { "cpus", value = "N", type = "integer", help = "virtual processors" },
  { "memory", value = "SIZE", type = "size", help = "such as 512M or 2G" },
  { "disk", value = "SIZE", type = "size", help = "where servers take it" },
  { "ttl", value = "DURATION", type = "duration",
    help = "without activity until it is paused" },
  { "volume", value = "VOLUME", many = true, complete = "volume",
    help = "mounts a volume, 4 at the most" },
  { "metadata", short = "m", value = "K=V", type = "pair", many = true,
    help = "labels it" },
  { "wait-timeout", value = "DURATION", type = "duration",
    help = "how long to wait until it runs (30s)" },
}

--- The same with a command's own options behind them.
function making.with(options)
  return parser.join(making.options, options)
end

--- Options for wrenn.Capsule.create from the values of these.
function making.request(ctx, args)
  return {
    client = ctx:client(), template = args.template, vcpus = args.cpus,
    memory_mb = args.memory, disk_size_mb = args.disk, timeout = args.ttl,
    volumes = args.volume, metadata = types.map(args.metadata),
    wait_timeout = args.wait_timeout, wait = true,
  }
end

return making
