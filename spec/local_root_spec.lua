-- Where the server is root of the machine, its capsules are somebody else's.

local disk = require("spec.support.disk")
local server = require("spec.support.server")
local tree = require("spec.support.tree")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local is_root = disk.shell("id -u; cat /proc/self/uid_map")
  :find("^0\n%s*0%s+0%s+4294967295\n") ~= nil
local program = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"

-- Prints whose users and groups of the host the processes below the server have,
-- and which they could become. The walls themselves count.
local SEARCH = [[
below() {
  for pid in $(cat /proc/$1/task/*/children 2>/dev/null); do
    echo $pid
    below $pid
  done
}
for pid in $(below %d); do
  cat /proc/$pid/uid_map /proc/$pid/gid_map | awk -v pid=$pid '
    { print ($2 < 100 ? "root" : "other") }'
  grep -E '^([UG]id|Groups):' /proc/$pid/status | awk '
    { for (i = 2; i <= NF; i++) print ($i < 100 ? "root" : "other") }'
done | sort -u]]

-- Makes a capsule's files belong to whom they did when root in there was root and
-- the others began at 524288; some are left as they are.
local AGE = [[
cd %s/%s && outside=%s && first=$(stat -c %%u .)
before() {
  if [ $1 = $first ]; then echo 0; else echo $(($1 - first + 524287)); fi
}
find . ! -name done -printf '%%U %%G %%m %%p\n' |
while read -r user group mode path; do
  chown -h $(before $user):$(before $group) "$path"
  [ -L "$path" ] || chmod $mode "$path"
done
ln -s $outside/f $outside upper/home/wrenn-user/
chown -h 525287 upper/home/wrenn-user/* $outside/f]]

-- Prints how many processes carry what capsules send.
local HELPERS = "cat $(printf '/proc/%%s/cmdline\\n' $(cat"
  .. " /proc/%d/task/*/children)) | tr '\\0' '\\n' | grep -c slirp4netns"

local can_go_out = disk.shell("command -v slirp4netns >/dev/null"
  .. " && bash -c 'exec 3<>/dev/net/tun' 2>/dev/null && echo yes") ~= ""

local tell = walls.up and is_root and describe or pending

tell("a server of root", function()
  local data, s, base

  local function start(args, environment)
    s = server.start("--generation 0.4 --network none --data " .. data .. " "
      .. (args or ""), environment)
  end

  local function create(options)
    return assert(wrenn.Capsule.create(s:options({ wait = true,
      volumes = options and options.volumes })))
  end

  local function sh(capsule, line)
    local result = assert(capsule.commands:run(line))
    return result.stdout .. result.stderr
  end

  local function owners(path)
    return disk.shell(("find %s/%s | xargs -d '\\n' stat -c %%u:%%g | sort -u")
      :format(data, path))
  end

  before_each(function()
    data = disk.folder()
  end)

  after_each(function()
    s:stop()
    os.execute("rm -rf " .. data .. " " .. (base or ""))
    base = nil
  end)

  for _, kind in ipairs({ "--user root", "--user wrenn-user", "--system one",
    "--system range" }) do
    it("has no capsule of root's: " .. kind, function()
      local uids = kind:match("^%-%-system (.*)")
      base = uids and tree()
      start((uids and ("--system %s --uids %s"):format(base, uids) or kind)
        .. (can_go_out and " --network outgoing" or ""))
      local capsule = create()
      assert.are.equal(can_go_out and "1\n" or "0\n",
        disk.shell(HELPERS:format(s.pid)))
      -- Waits for who never comes.
      assert(capsule.commands:run("cat </dev/ptmx", { background = true }))
      assert(sh(capsule, "mkdir -p ~/d && echo x >~/d/f; "
        .. (uids and "true" or "chmod 4755 ~/d/f")))
      assert.are.equal("other\n", disk.shell(SEARCH:format(s.pid)))
      local all = "\n" .. owners(capsule.id)
      assert.is_nil(all:find("\n0:"), all)
      assert.are.equal("0 700\n", disk.shell("stat -c '%u %a' " .. data))
      if base then -- has not become anybody else's
        assert.are.equal("0\n",
          disk.shell("find " .. base .. " | xargs stat -c %u | sort -u"))
        assert.are.equal(uids == "one" and "1000\n" or "0\n",
          sh(capsule, "stat -c %u /etc/given"))
      end
    end)
  end

  it("has none either where it may not mount, as in many containers", function()
    start("--user root", "setpriv --bounding-set -sys_admin")
    local rights = disk.shell(("grep CapEff /proc/%d/status"):format(s.pid))
    assert.is_true(tonumber(rights:match("(%x)%x%x%x%x%x\n"), 16) % 4 < 2)
    local capsule = create()
    assert(sh(capsule, "mkdir -p ~/d && echo x >~/d/f"))
    assert.are.equal("other\n", disk.shell(SEARCH:format(s.pid)))
    assert.is_nil(("\n" .. owners(capsule.id)):find("\n0:"))
    assert.are.equal("65534\n", sh(capsule, "stat -c %u /usr"))
  end)

  it("gives what was root's to the capsule, and nothing else", function()
    local outside = disk.folder()
    disk.write(outside .. "/f", "x")
    start()
    local client = assert(wrenn.Client(s:options()))
    local volume = assert(client.volumes:create({ size = "1Gi" }))
    local capsule = create({ volumes = { volume.id } })
    assert(capsule.files:write("~/d/f", "kept"))
    assert(capsule:pause({ wait = true }))
    s:stop()
    -- As servers left it whose capsules were root's.
    os.execute(("ln -s %s/f %s %s/%s/tmp; chown -Rh 0:0 %s"):format(outside,
      outside, data, capsule.id, data))
    start()
    capsule = assert(wrenn.Capsule.connect(capsule.id, s:options()))
    assert.are.equal("kept", capsule.files:read("~/d/f"))
    assert.are.equal("wrenn-user wrenn-user\n", sh(capsule, "echo more >>~/d/f;"
      .. " echo $(stat -c %U ~/d/f /mnt/" .. volume.id .. ")"))
    assert.is_nil(owners(capsule.id):find("^0:"))
    assert.are.equal("0 0\n", disk.shell(("echo $(stat -c %%u %s %s/f)")
      :format(outside, outside)))
    os.execute("rm -r " .. outside)
  end)

  it("gives what was its users' to the users of now", function()
    base = tree()
    local outside = disk.folder()
    disk.write(outside .. "/f", "x")
    start("--uids range --system " .. base)
    local capsule = create()
    assert.are.equal("", sh(capsule, "mkdir -p ~/d/e && echo x >~/d/e/f &&"
      .. " chmod 4755 ~/d/e/f && cp ~/d/e/f ~/d/done &&"
      .. " sudo cp ~/d/e/f /etc/r"))
    assert(capsule:pause({ wait = true }))
    s:stop()
    -- As servers left it whose root was root, and others have begun to change.
    os.execute(AGE:format(data, capsule.id, outside))
    assert.is_truthy(owners(capsule.id):find("524288:", 1, true) == nil
      and owners(capsule.id):find("525287:525287", 1, true))
    start("--uids range --system " .. base)
    capsule = assert(wrenn.Capsule.connect(capsule.id, s:options()))
    assert.are.equal("wrenn-user wrenn-user 755 wrenn-user wrenn-user 4755"
      .. " wrenn-user wrenn-user 755 root root 755\n", sh(capsule, "echo $(stat"
      .. " -c '%U %G %a' ~/d/e ~/d/e/f ~/d/done /etc/r)"))
    local all = "\n" .. owners(capsule.id)
    assert.is_nil(all:find("\n0:") or all:find("\n52%d%d%d%d:"), all)
    assert.are.equal("525287\n", disk.shell("stat -c %u " .. outside .. "/f"))
    os.execute("rm -r " .. outside)
  end)

  it("does not open to a capsule what only root may read", function()
    local folder = disk.folder()
    os.execute("chmod 700 " .. folder)
    local agent = os.getenv("WRENN_AGENT") or program:gsub("[^/]*$",
      "wrenn-agent")
    -- Neither the agent nor anything else needs to be where others reach it.
    os.execute(("cp %s %s/wrenn-agent"):format(agent, folder))
    os.execute(("cp $(command -v slirp4netns bwrap) %s"):format(folder))
    start(can_go_out and "--network outgoing" or "",
      ("WRENN_AGENT=%s/wrenn-agent PATH=%s:$PATH"):format(folder, folder))
    local capsule = create()
    assert.are.equal(can_go_out and "1\n" or "0\n",
      disk.shell(HELPERS:format(s.pid)))
    assert.are.equal("65534\nroot\n1\n", sh(capsule, "stat -c %u /usr;"
      .. " sudo id -un; sudo head -n 1 /etc/shadow | grep -c '^root:'"))
    os.execute("rm -r " .. folder)
  end)

  it("says so in its table", function()
    start()
    local table = disk.shell(program .. " --check")
    assert.is_truthy(table:find("\nyes  server's user     is root, but", 1,
      true), table)
    assert.is_truthy(table:find("\nyes  processes ", 1, true), table)
  end)
end)
