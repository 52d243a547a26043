-- A range of users in systems of their own.

local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local server = require("spec.support.server")
local tree = require("spec.support.tree")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

-- Root may map any users, if it is not in a namespace with few of them.
local can = walls.up and disk.shell([[
if [ "$(id -u)" = 0 ]; then
  awk '$1 == 0 && $3 > 600000 { print "yes" }' /proc/self/uid_map
elif command -v newuidmap && grep -q "^$(id -un):" /etc/subuid /etc/subgid; then
  echo yes
fi]]):find("yes", 1, true)
local tell = can and describe or pending

tell("a range of users", function()
  local base, data, s, one

  local function create(template)
    return assert(wrenn.Capsule.create(s:options({ template = template,
      wait = true })))
  end

  local function sh(capsule, line, options)
    local result = assert(capsule.commands:run(line, options))
    return result.stdout .. result.stderr
  end

  setup(function()
    base, data = tree(), disk.folder()
    s = server.start(("--generation 0.4 --uids range --network none --system %s"
      .. " --data %s"):format(base, data))
    one = create()
  end)

  teardown(function()
    s:stop()
    os.execute("rm -rf " .. base)
    local agent = os.getenv("WRENN_AGENT") or (os.getenv("WRENN_LOCAL")
      or "build/local/wrenn-local"):gsub("[^/]*$", "wrenn-agent")
    os.execute(("bash -c 'exec -a launch %s remove %s'"):format(agent, data))
  end)

  it("has a user who is not root, with a home", function()
    assert.are.equal("1000 wrenn-user /home/wrenn-user wrenn-user\n", sh(one,
      "echo $(id -u) $(id -un) $(cd && pwd) $(stat -c %U ~)"))
    assert.are.equal("root 755\n", sh(one, "echo $(stat -c '%U %a' /bin)"))
    assert.are.equal("no\n", sh(one, "rm /bin/mv 2>/dev/null || echo no"))
    assert(one.files:write("~/a/f", "x"))
    assert.are.equal("wrenn-user wrenn-user\n",
      sh(one, "echo $(stat -c %U ~/a ~/a/f)"))
  end)

  it("has a sudo that asks nothing", function()
    for _, line in ipairs({ "sudo id", "sudo sudo -u wrenn-user sudo id" }) do
      assert.are.equal("uid=0(root) gid=0(root) groups=0(root)\n",
        sh(one, line))
    end
    assert.are.equal("1000\n", sh(one, "sudo sudo -u wrenn-user id -u"))
    assert.are.equal("12:34 12:34\n", sh(one, "sudo mkdir -m 700 /srv;"
      .. " sudo touch /srv/f; sudo chown 12:34 /srv /srv/f;"
      .. " echo $(sudo stat -c %u:%g /srv /srv/f)"))
    assert.are.equal("no\n", sh(one, "ls /srv 2>/dev/null || echo no"))
    assert.are.equal("root\n", sh(one, "id -un", { user = "root" }))
  end)

  it("can write to volumes", function()
    local volumes = assert(wrenn.Client(s:options())).volumes
    local volume = assert(volumes:create({ size = "1Gi" }))
    for _ = 1, 2 do
      local capsule = assert(wrenn.Capsule.create(s:options({ wait = true,
        volumes = { volume.id } })))
      assert.are.equal("wrenn-user\n", sh(capsule, ("touch /mnt/%s/f;"
        .. " stat -c %%U /mnt/%s/f"):format(volume.id, volume.id)))
      assert(capsule:destroy({ wait = true }))
    end
    assert(volumes:delete(volume.id))
    expect.soon(function()
      return disk.shell("ls " .. data .. "/volumes") == ""
    end)
  end)

  it("has no more rights over the kernel by it", function()
    assert.are.equal("no\n", sh(one, "sudo mkdir /proc/sys/x 2>/dev/null"
      .. " || sudo sh -c 'echo 1 >/proc/sys/kernel/sysrq' 2>/dev/null"
      .. " || echo no"))
    -- The agent's channel leads to the server.
    assert.are.equal("no\n",
      sh(one, "sudo readlink /proc/1/fd/3 2>/dev/null || echo no"))
  end)

  it("stays in a snapshot, and goes with the capsule", function()
    assert(one:create_snapshot({ name = "owned", wait = true }))
    local two = create("owned")
    assert.are.equal("12:34 12:34\nwrenn-user\n", sh(two,
      "echo $(sudo stat -c %u:%g /srv /srv/f); stat -c %U ~/a/f"))
    local layer = data .. "/" .. two.id .. "/upper"
    assert.are.equal("yes\n", disk.shell("test -d " .. layer .. " && echo yes"))
    assert(two:destroy({ wait = true }))
    expect.soon(function()
      return disk.shell("test -d " .. layer .. " && echo yes") == ""
    end)
  end)
end)
