-- wrenn version

local function run(ctx)
  local version = require("wrenn.version")
  if ctx.json then
    ctx:emit({ version = version, lua = _VERSION })
  else
    ctx:print("wrenn " .. version)
  end
end

return {
  name = "version",
  summary = "Shows the version",
  offline = true,
  run = run,
}
