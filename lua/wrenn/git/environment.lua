-- The oldest servers give a foreground command no environment, only one in the
-- background. There it is handed on through a named pipe: no value is ever on
-- a command line or in a file.

local core = require("wrenn.core")

local environment = {}

-- Waits for a reader, then prints its environment as shell assignments. It
-- must not wait for ever when nobody comes.
local HOLD = 'umask 077; mkfifo "$1" && export -p >"$1"; rm -f "$1"'
local PATIENCE = "60" -- seconds

local RECEIVE = [[n=0
until [ -p "$1" ]; do
  n=$((n + 1))
  if [ $n -gt 300 ]; then echo "the environment did not come" >&2; exit 126; fi
  sleep 0.1
done
. "$1"
shift
exec "$@"]]

--- A name no other process has.
function environment.nonce()
  return (core.random(16):gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

--- Offers an environment: what a receiver of it needs, or nil, err.
function environment.offer(commands, envs)
  local pipe = "/tmp/wrenn-git-" .. environment.nonce()
  local holder, err = commands:run("timeout", { background = true, envs = envs,
    args = { PATIENCE, "/bin/sh", "-c", HOLD, "sh", pipe } })
  return holder and { pipe = pipe, holder = holder, commands = commands }, err
end

--- The program and the arguments that run a command in that environment.
function environment.receiver(offer, program, args)
  local list = { "-c", RECEIVE, "sh", offer.pipe, program }
  for _, arg in ipairs(args) do
    list[#list + 1] = arg
  end
  return "/bin/sh", list
end

--- Takes an offer back that may not have been received.
function environment.withdraw(offer)
  offer.holder:kill()
  offer.commands:run("rm", { args = { "-f", offer.pipe } })
end

return environment
