-- Capsules with a system of their own, over a tree that they share.

local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local server = require("spec.support.server")
local tree = require("spec.support.tree")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local program = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"
local walled = walls.only(describe, pending)

local function sh(capsule, line)
  local result = assert(capsule.commands:run(line))
  return result.stdout .. result.stderr
end

for _, user in ipairs({ "root", "wrenn-user" }) do
  walled("a system of its own, as " .. user, function()
    local base, data, outside, s, one

    local function create(options)
      options = options or {}
      options.wait = true
      return assert(wrenn.Capsule.create(s:options(options)))
    end

    setup(function()
      base, data, outside = tree(), disk.folder(), disk.folder()
      for _, place in ipairs({ "run", "mnt", "etc/resolv.conf" }) do
        os.execute(("ln -s %s %s/%s"):format(outside, base, place))
      end
      s = server.start(("--generation 0.4 --network host --system %s"
        .. " --data %s --user %s"):format(base, data, user))
      one = create()
    end)

    teardown(function()
      s:stop()
      os.execute(("chmod -R u+rwx %s; rm -rf %s %s %s"):format(data, data, base,
        outside))
    end)

    it("is the capsule's to change, and nobody else's", function()
      local other = create()
      assert.are.equal("from the tree\n", sh(one, "cat /etc/given"))
      assert.are.equal("mine\n", sh(one, "rm /bin/cp /etc/given;"
        .. " echo mine >/etc/given; ln -s cat /bin/dog; dog /etc/given"))
      assert.are.equal("from the tree\n", sh(other, "cat /etc/given"))
      assert.are.equal("/bin/cp\n",
        sh(other, "ls /bin/cp /bin/dog 2>/dev/null"))
      assert.are.equal("from the tree\n", disk.read(base .. "/etc/given"))
      assert.are.equal("",
        disk.shell("ls " .. base .. " | grep -E 'proc|home'"))
      assert(other:destroy({ wait = true }))
    end)

    it("has the user, its home, and what the API speaks of", function()
      local home = user == "root" and "/root" or "/home/" .. user
      assert.are.equal(("%s %s %s\n"):format(user, home, home),
        sh(one, "echo $(id -un) $HOME $(cd && pwd -P)"))
      assert.are.equal("root\n", sh(one, user == "root" and "id -un"
        or "/usr/local/bin/sudo id -un"))
      assert(one.files:write("~/f", "x"))
      assert.are.equal(user .. "\n", sh(one, "stat -c %U ~/f"))
      assert.are.equal("1777 755\n",
        sh(one, "echo $(stat -c %a /tmp) $(stat -c %a /)"))
    end)

    it("takes files for those of others, and leaves them as they are",
      function()
      assert.are.equal("0\n", sh(one, "chown 12:34 /etc/kept; echo $?"))
      assert.are.equal(user .. "\n", sh(one, "stat -c %U /etc/kept"))
    end)

    it("goes on in a snapshot, and in one of that", function()
      sh(one, "rm /etc/kept/one && rmdir /etc/kept && mkdir /etc/kept"
        .. " && echo mine >/etc/kept/two")
      assert(one:create_snapshot({ name = "first-" .. user, wait = true }))
      local second = create({ template = "first-" .. user })
      local SHOW = "cat /etc/given; ls /etc/kept; ls /bin/cp 2>/dev/null"
      assert.are.equal("mine\ntwo\n", sh(second, SHOW))
      sh(second, "echo more >/etc/kept/three; rm /bin/mv")
      assert(second:create_snapshot({ name = "second-" .. user, wait = true }))
      local third = create({ template = "second-" .. user })
      assert.are.equal("mine\nthree\ntwo\n", sh(third, SHOW))
      assert.are.equal("", sh(third, "ls /bin/mv 2>/dev/null"))
      assert.are.equal("755\n", sh(third, "stat -c %a /"))
      assert(second:destroy({ wait = true }))
      assert(third:destroy({ wait = true }))
    end)

    it("has no links where something is mounted", function()
      local volumes = assert(wrenn.Client(s:options())).volumes
      local volume = assert(volumes:create({ size = "1Gi" }))
      local capsule = create({ volumes = { volume.id } })
      assert(capsule.files:write("/mnt/" .. volume.id .. "/f", "x"))
      assert.are.equal("directory directory f\n", sh(capsule,
        "echo $(stat -c %F /run /mnt) $(ls /mnt/*)"))
      assert.are.equal("/run/resolv.conf\n",
        sh(capsule, "readlink /etc/resolv.conf"))
      assert.are.equal("", disk.shell("ls -A " .. outside))
      assert(capsule:destroy({ wait = true }))
    end)

    it("leaves nothing when it is destroyed", function()
      local last = create()
      sh(last, "mkdir -p /etc/a/b; rm /bin/cp; chmod 0 /etc/a; chmod 0 /bin")
      local folder = data .. "/" .. last.id
      assert.are_not.equal("", disk.shell("ls " .. folder))
      assert(last:destroy({ wait = true }))
      expect.soon(function()
        return disk.shell("test -e " .. folder .. " && echo there") == ""
      end)
    end)
  end)
end

-- What a server says that does not start, and its status.
local function refusal(args, environment)
  local text = disk.shell(("%s %s --network host %s -- true 2>&1; echo $?")
    :format(environment or "", program, args))
  return text:match("^(.-)(%d+)\n$")
end

walled("wrenn-local that cannot have the system it is told", function()
  it("says so and ends, and takes no other", function()
    local base, empty = tree(), disk.folder()
    local yours = "it does not belong to the user who runs the server"
    local strange = disk.shell("id -u") == "0\n" and base or "/"
    os.execute("test " .. strange .. " = / || chown 1:1 " .. base)
    for _, case in ipairs({
      { "1", "--system /nowhere/at/all", "No such file or directory" },
      { "1", "--system " .. empty, "it is no system, as it has no /bin/sh" },
      { "1", "--system " .. strange, yours },
      { "2", "--system / --isolation none", "--system DIR needs bubblewrap" },
    }) do
      local said, status = refusal(case[2])
      assert.are.equal(case[1], status, said)
      assert.is_truthy(said:find(case[3], 1, true), said)
      assert.is_truthy(said:find("^wrenn%-local: [^\n]+\n$"), said)
    end
    os.execute("test " .. strange .. " = / || chown 0:0 " .. base)
    -- One in which the agent does not start.
    local said, status = refusal("--system " .. base, "WRENN_AGENT=/bin/false")
    assert.are.equal("wrenn-local: no capsule can be started with --system "
      .. base .. "\n", said)
    assert.are.equal("1", status)
    os.execute(("rm -r %s %s"):format(base, empty))
  end)
end)
