-- What a capsule does to excess hurts itself: ten others answer meanwhile.
-- Alone

local core = require("wrenn.core")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local task = wrenn.task

local OTHERS = 10

-- What starts the server, each in its own way; $0 is a folder for it.
local AS_SOMEBODY = [[
if [ "$(id -u)" = 0 ]; then # whose processes the kernel does not count
  cp "$1" "${1%local}agent" $0 && chmod -R a+rx $0
  shift
  exec setpriv --reuid 23456 --regid 23456 --clear-groups \
    env TMPDIR=/tmp $0/wrenn-local "$@"
fi
exec "$@"
]]

local ON_SMALL_DISK = [[
[ "$INSIDE" ] || INSIDE=1 exec unshare -rm sh -c "$SCRIPT" $0 "$@"
mount -t tmpfs -o size=64m none $0 && exec "$@"
]]

-- As much as it may allocate.
local HOG = "exec python3 -I -c 'x = []\nwhile True: x.append(bytes(1 << 20))'"

-- Takes each process that it gets, as long as that does no harm to others, and
-- says how many.
local FORKS = [[exec python3 -I -c '
import os, signal
count = 0
try:
    while count < 3000 and os.fork():
        count += 1
    if count == 3000:
        print(count, "and more", flush=True)
    signal.pause()
except OSError as e:
    print(count, e.strerror, flush=True)
signal.pause()']]

-- A thousand processes that start others, which end at once: all want the
-- kernel's locks of the same few files.
local STORM = "i=0; while [ $i -lt 400 ]; do i=$((i+1));"
  .. " while :; do %s; done & done; wait"

-- A group of processes that may have 300 MB; nil if none can be made here.
local function make_group()
  local path = disk.shell(([[
    for top in /sys/fs/cgroup/memory /sys/fs/cgroup; do
      group=$top/wrenn-spec-%d
      mkdir $group || continue
      echo 300M >$group/memory.limit_in_bytes || echo 300M >$group/memory.max ||
        { rmdir $group; continue; }
      echo $group
      break
    done 2>/dev/null]]):format(server.unique()))
  return path:match("(%S+)\n")
end

walls.only(describe, pending)("one capsule among ten others", function()
  local s, one, others, folder, group

  local function start(script, args)
    folder = disk.folder()
    disk.write(folder .. "/start", script)
    s = server.start("--generation 0.4 --user root --network none "
      .. (args or ""):gsub("FOLDER", folder), ("SCRIPT=\"$(cat %s/start)\""
      .. " sh -c 'exec sh -c \"$SCRIPT\" %s \"$@\"' sh"):format(folder, folder))
    local client = assert(wrenn.Client(s:options()))
    local list = {}
    for i = 1, OTHERS + 1 do
      list[i] = i
    end
    task.run(function()
      others = assert(task.map(list, function()
        return assert(wrenn.Capsule.create({ client = client, wait = true }))
      end))
    end)
    one = table.remove(others)
  end

  -- How long it takes until each of the others has answered.
  local function ask()
    local begun = core.now()
    task.run(function()
      for _, result in ipairs(assert(task.map(others, function(capsule)
        return assert(capsule.commands:run("echo $((6 * 7))"))
      end))) do
        assert.are.equal("42\n", result.stdout)
      end
    end)
    return core.now() - begun
  end

  -- Within a second, and what a busy machine takes by itself, of which it may
  -- take more for a while.
  local function others_answer(before)
    expect.soon(function()
      return ask() < 1 + 10 * before
    end)
  end

  after_each(function()
    s:stop()
    os.execute("rm -rf " .. folder)
    if group then
      os.execute("rmdir " .. group)
      group = nil
    end
  end)

  it("forks as often as it can", function()
    start(AS_SOMEBODY)
    local before = ask()
    local stream = assert(one.commands:stream(FORKS))
    local said
    repeat
      said = assert(stream:read())
    until said.type == "stdout"
    local count = tonumber(said.data:match("^(%d+) Resource"))
    assert.is_true(count and count > 1000 and count < 2048, said.data)
    others_answer(before)
    stream:close()
    assert(one:destroy({ wait = true }))
    others_answer(before)
  end)

  for _, each in ipairs({ "(:)", "/bin/true" }) do
    it("starts processes without end: " .. each, function()
      start("exec \"$@\"")
      local before = ask()
      assert.are.equal(-1, -- by a signal
        assert(one.commands:run(STORM:format(each), { timeout = 120 }))
          .exit_code)
      others_answer(before)
      assert.are.equal("42\n", assert(one.commands:run("echo 42")).stdout)
    end)
  end

  it("fills the disk", function()
    start(ON_SMALL_DISK, "--data FOLDER")
    local before = ask()
    local result = assert(one.commands:run("cat /dev/zero >big"))
    assert.is_truthy(result.stderr:find("No space left", 1, true),
      result.stderr)
    others_answer(before)
    assert(one:destroy({ wait = true }))
    expect.soon(function()
      return others[1].files:write("f", "there is room again")
    end)
  end)

  it("takes what memory there is", function()
    group = make_group()
    if not group then
      return pending("there can be no group of processes with a limit here")
    end
    start("echo $$ >" .. group .. "/cgroup.procs && exec \"$@\"")
    local before = ask()
    local result = assert(one.commands:run(HOG))
    assert.are.equal(-1, result.exit_code) -- by a signal
    assert.are.equal("1000\n", -- of the server's processes, they go first
      assert(one.commands:run("cat /proc/self/oom_score_adj")).stdout)
    others_answer(before)
    assert.are.equal("42\n", assert(one.commands:run("echo 42")).stdout)
  end)
end)
