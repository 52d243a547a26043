-- Templates that a user makes of systems: `wrenn-local template`, and capsules
-- of them.

local disk = require("spec.support.disk")
local server = require("spec.support.server")
local tree = require("spec.support.tree")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local program = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"

describe("wrenn-local template", function()
  local folder, base

  before_each(function()
    folder, base = disk.folder(), tree()
  end)

  after_each(function()
    os.execute(("rm -rf %s %s"):format(folder, base))
  end)

  -- What it prints, and its status.
  local function template(words)
    local text = disk.shell(("WRENN_LOCAL_TEMPLATES=%s/shelf %s template %s"
      .. " 2>&1; echo $?"):format(folder, program, words))
    return text:match("^(.-)(%d+)\n$")
  end

  local function done(words)
    local text, status = template(words)
    assert.are.equal("0", status, text)
    return text
  end

  it("adds folders and tarballs, lists and removes them", function()
    assert.are.equal("", done("list"))
    done("add mine " .. base)
    assert.are.equal("mine\t" .. base .. "\n", done("list"))
    local text, status = template("add mine " .. base)
    assert.are.equal("1", status)
    assert.is_truthy(text:find("there is a template with this name", 1, true))
    os.execute(("mkdir -p %s/dev %s/usr/dev; echo x >%s/dev/null;"
      .. " echo x >%s/usr/dev/x; tar -C %s --owner=1234 -czf %s/t.tgz .;"
      .. " mkdir -p %s/shelf/.packed.new/left"):format(base, base, base, base,
      base, folder, folder))
    assert.are.equal("mine\t" .. base .. "\n", done("list"))
    done("add packed " .. folder .. "/t.tgz")
    local packed = folder .. "/shelf/packed"
    assert.are.equal(disk.shell("id -u"),
      disk.shell("stat -c %u " .. packed .. "/etc/given"))
    assert.are.equal("", disk.shell("ls -d " .. packed .. "/left 2>/dev/null"))
    assert.are.equal("from the tree\n", disk.read(packed .. "/etc/given"))
    assert.are.equal("x\n", disk.read(packed .. "/usr/dev/x"))
    assert.are.equal("", disk.shell("ls " .. packed .. "/dev"))
    done("remove mine")
    assert.are.equal("packed\t" .. packed .. "\n", done("list"))
    assert.are.equal("from the tree\n", disk.read(base .. "/etc/given"))
    done("remove packed")
    assert.are.equal("", done("list"))
    assert.are.equal("", disk.shell("ls -A " .. folder .. "/shelf"))
  end)

  it("refuses what is no system, and leaves nothing of it", function()
    disk.write(folder .. "/text", "x")
    -- Another's: where only root can give it away, that is of root's.
    local other = disk.shell(("chown 1234 %s 2>/dev/null && echo %s || echo /")
      :format(base, base)):match("%S+")
    for words, why in pairs({
      ["add a " .. other] = "it does not belong to the user",
      ["add a " .. folder] = "it is no system, as it has no /bin/sh",
      ["add a " .. folder .. "/none"] = "No such file or directory",
      ["add a " .. folder .. "/text"] = "tar cannot unpack it",
      ["add minimal " .. base] = "that of a template of the platform",
      ["remove a"] = "there is no such template",
    }) do
      local text, status = template(words)
      assert.are.equal("1", status, words)
      assert.is_truthy(text:find(why, 1, true), text)
      assert.are.equal("", disk.shell(("ls -A %s/shelf 2>/dev/null")
        :format(folder)), words)
    end
    for _, words in ipairs({ "", "add a", "add ../a /", "remove .a", "show" })
    do
      assert.are.equal("2", (select(2, template(words))), words)
    end
  end);

  walls.only(it, pending)("is what a capsule is created from", function()
    local s
    local function start(args)
      s = server.start(("--generation 0.4 --data %s/data %s"):format(folder,
        args or ""), ("WRENN_LOCAL_TEMPLATES=%s/shelf"):format(folder))
    end
    start()
    local function create(name)
      return wrenn.Capsule.create(s:options({ template = name, wait = true }))
    end
    local _, err = create("mine")
    assert.are.equal("NotFoundError", err and err.type)
    done("add mine " .. base) -- while the server runs
    local one, host = assert(create("mine")), assert(create())
    local SHOW = "cat /etc/given 2>/dev/null"
    assert.are.equal("from the tree\n", assert(one.commands:run(SHOW)).stdout)
    assert.are.equal("", assert(host.commands:run(SHOW)).stdout)
    assert(one.commands:run("echo more >/etc/more"))
    assert(one:create_snapshot({ name = "further", wait = true }))
    done("remove mine")
    _, err = create("mine")
    assert.are.equal("NotFoundError", err and err.type)
    s:stop()
    start() -- which still knows what the snapshot is of
    local further = assert(create("further"))
    assert.are.equal("from the tree\nmore\n",
      assert(further.commands:run("cat /etc/given /etc/more")).stdout)
    os.execute("mv " .. base .. " " .. base .. ".away")
    _, err = create("further")
    os.execute("mv " .. base .. ".away " .. base)
    assert.is_truthy(err and tostring(err):find(base, 1, true), tostring(err))
    done("add mine " .. base)
    assert(create("mine"))
    done("remove mine") -- and another takes its name
    os.execute(("cp -a %s %s/new; echo new >%s/new/etc/given"):format(base,
      folder, folder))
    done("add mine " .. folder .. "/new")
    local new = assert(create("mine"))
    assert.are.equal("new\n", assert(new.commands:run(SHOW)).stdout)
    s:stop()
    start("--isolation none") -- where there can be none
    _, err = create("mine")
    assert.are.equal("NotFoundError", err and err.type)
    s:stop()
  end)
end)
