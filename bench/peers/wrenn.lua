-- The library itself, as one of the peers.

local wrenn = require("wrenn")
local core = require("wrenn.core")

local row = arg[1]
local MIB = 2 ^ 20

local function capsule_at(base_url, ca_file, key, id)
  local client = wrenn.check(wrenn.Client({
    api_key = key, base_url = base_url, ca_file = ca_file,
  }))
  return wrenn.check(wrenn.Capsule.connect(id, { client = client }))
end

local function per_second(count, begin)
  return count / (core.now() - begin)
end

local function stream(scheme, size)
  local secure = scheme == "wss"
  local capsule = capsule_at(
    os.getenv(secure and "WSS_URL" or "WS_URL"):gsub("^ws", "http"),
    secure and os.getenv("CA_FILE") or nil, "k", "cl-1")
  local count = size == 64 and 500000 or math.floor(200e6 / size)
  local begin, bytes = nil, 0
  for ev in wrenn.check(capsule.commands:stream("x", {
    args = { ("%d"):format(size), ("%d"):format(count), "plain" },
  })) do
    begin = begin or core.now()
    if ev.type == "stdout" then
      bytes = bytes + #ev.data
    end
  end
  assert(bytes == size * count)
  return per_second(count, begin)
end

local function here()
  return capsule_at(nil, nil, nil, os.getenv("CAPSULE"))
end

local rows = {}

function rows.get()
  local capsule = here()
  local begin = core.now()
  for _ = 1, 3000 do
    wrenn.check(capsule.client.capsules:get(capsule.id))
  end
  return per_second(3000, begin)
end

function rows.echo()
  local term = wrenn.check(here():pty({ cmd = "/bin/sh",
    args = { "-c", "stty raw -echo; printf r; exec cat" } }))
  local function read_output()
    repeat
      local ev = wrenn.check(term:read())
    until ev.type == "output"
  end
  read_output()
  local trips = {}
  for i = 1, 1000 do
    local begin = core.now()
    term:write("x")
    read_output()
    trips[i] = core.now() - begin
  end
  term:kill()
  table.sort(trips)
  return trips[500] * 1e6
end

function rows.download()
  local capsule = here()
  local begin = core.now()
  wrenn.check(capsule.files:download(os.getenv("REMOTE"), os.getenv("HERE")))
  return per_second(256, begin)
end

function rows.iterate()
  local capsule = here()
  local begin, bytes = core.now(), 0
  for piece in wrenn.check(
    capsule.files:download_stream(os.getenv("REMOTE"))) do
    bytes = bytes + #piece
  end
  return per_second(bytes / MIB, begin)
end

function rows.upload()
  local capsule = here()
  local begin = core.now()
  wrenn.check(capsule.files:upload(os.getenv("HERE"), os.getenv("REMOTE")))
  return per_second(256, begin)
end

local scheme, size = row:match("^(wss?)(%d+)$")
print(scheme and stream(scheme, tonumber(size)) or rows[row]())
