-- What the locations of nginx.conf do.

local ngx = require("ngx")
local wrenn = require("wrenn")

local M = {}

--- Tries a call in this phase; returns its error.
function M.try()
  local ok, err = wrenn.Capsule.list({
    base_url = "http://127.0.0.1:1", api_key = "wrn_none",
  })
  return not ok and err or nil
end

function M.refusal()
  local err = M.try()
  return err and err.type .. " " .. err.message
end

--- What init_by_lua, set_by_lua and a task spawned here have come to.
function M.phases()
  local refused = rawget(_G, "refused") or _G.refused
  ngx.say("init ", tostring(refused[1]))
end

function M.measure()
  require("spec.hosts.measure")({
    sleep = ngx.sleep, spawn = ngx.thread.spawn,
    print = function(line)
      ngx.say(line)
      ngx.flush(true)
    end,
  }, ngx.unescape_uri(ngx.var.arg_parts))
end

--- Runs ?cmd= in the capsule ?id= and says which worker did.
function M.run()
  local capsule = wrenn.check(wrenn.Capsule.connect(ngx.var.arg_id))
  local result = wrenn.check(capsule.commands:run(
    ngx.unescape_uri(ngx.var.arg_cmd)))
  ngx.print(ngx.worker.pid(), " ", result.stdout)
end

--- Waits for a stream that says nothing, until the client goes away.
function M.held()
  local capsule = wrenn.check(wrenn.Capsule.connect(ngx.var.arg_id))
  for _ in wrenn.check(capsule.commands:connect("held")) do
    ngx.say("held")
    ngx.flush(true)
  end
end

return M
