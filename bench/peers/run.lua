-- The rows of bench/run.lua in other languages, side by side: see README.md.
--   make bench-peers

package.path = "bench/?.lua;" .. package.path
local wrenn = require("wrenn")
local measure = require("measure")

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 5
local yardsticks = assert(arg[1], "usage: run.lua YARDSTICKS NAME=COMMAND...")

local peers = {}
for i = 2, #arg do
  local name, command = arg[i]:match("^([^=]+)=(.+)$")
  peers[#peers + 1] = { name = name, command = command }
end

local function file()
  local name = os.tmpname()
  return name
end

local certificate, here = file(), file()
local blaster = assert(io.popen("exec " .. yardsticks .. "/blast "
  .. certificate))
local plain_port, tls_port, blast_pid =
  blaster:read("l"):match("^(%d+) (%d+) (%d+)$")
local capsule = wrenn.check(wrenn.Capsule.create({ wait = true }))
local remote = "/tmp/bench.bin"
wrenn.check(capsule.commands:run("head -c 256M /dev/urandom >" .. remote))

local environment = ("WS_URL=ws://127.0.0.1:%s WSS_URL=wss://127.0.0.1:%s "
  .. "CA_FILE=%s CAPSULE=%s REMOTE=%s HERE=%s"):format(plain_port, tls_port,
  certificate, capsule.id, remote, here)

local function figure(peer, row)
  local pipe = assert(io.popen(("env %s %s %s"):format(environment,
    peer.command, row)))
  local text = pipe:read("a")
  local ok = pipe:close()
  return ok and tonumber(text:match("%S+"))
end

local rows = {
  { "ws64", "1/s" }, { "ws4096", "1/s" }, { "ws65536", "1/s" },
  { "wss64", "1/s" }, { "wss4096", "1/s" }, { "wss65536", "1/s" },
  { "get", "1/s" }, { "echo", "us" },
  { "download", "MiB/s" }, { "iterate", "MiB/s" }, { "upload", "MiB/s" },
}

local function cells(first, list)
  local line = { ("%-18s"):format(first) }
  for _, text in ipairs(list) do
    line[#line + 1] = ("%12s"):format(text)
  end
  print(table.concat(line, " "))
  io.stdout:flush()
end

local names = {}
for i, peer in ipairs(peers) do
  names[i] = peer.name
end
cells("", names)
for _, row in ipairs(rows) do
  local figures = {}
  for _ = 1, ROUNDS do -- in turn
    for i, peer in ipairs(peers) do
      figures[i] = figures[i] or {}
      table.insert(figures[i], figure(peer, row[1]) or nil)
    end
  end
  local medians = {}
  for i in ipairs(peers) do
    medians[i] = #figures[i] > 0
      and ("%.1f"):format(measure.median(figures[i])) or "-"
  end
  cells(row[1] .. ", " .. row[2], medians)
end

os.execute("kill " .. blast_pid)
blaster:close()
os.remove(certificate)
os.remove(here)
wrenn.check(capsule:destroy())
