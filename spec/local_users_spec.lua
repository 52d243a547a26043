-- The user of wrenn-local's commands, and sudo.

local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wire = require("spec.support.wire")

describe("a user of wrenn-local", function()
  local within = walls.only(it, pending)
  local s, w, path

  setup(function()
    s = server.start("--user wrenn-user")
    w = wire.new(s)
    path = w:create()
  end)

  teardown(function()
    w:close()
    s:stop()
  end)

  local function sh(line)
    local answer = w:sh(path, line)
    return answer.stdout .. answer.stderr, answer.exit_code
  end

  within("has a name, a number and a home of its own", function()
    assert.are.equal("1000 1000 wrenn-user wrenn-user /home/wrenn-user\n",
      (sh('echo "$(id -u) $(id -g) $(id -un) $(id -gn) $HOME"')))
    assert.are.equal("/home/wrenn-user\n", (sh("pwd")))
    assert.are.equal("wrenn-user wrenn-user\n",
      (sh("touch f; stat -c '%U %G' f")))
    w:request("POST", path .. "/files/write",
      wire.form({ "path", "written" }, { "file", "x" }))
    assert.are.equal("wrenn-user x\n",
      (sh("stat -c %U ~/written | tr '\\n' ' '; cat ~/written; echo")))
  end)

  within("becomes root by a sudo that asks nothing", function()
    local who = "'echo $(id -u) $(id -un) $HOME $USER $LOGNAME'"
    for _, sudo in ipairs({ "sudo", "sudo -n", "sudo -n -u root",
      "sudo --user=root --", "sudo sudo -u root", "sudo sudo -u wrenn-user sudo"
    }) do
      assert.are.equal("0 root /root root root\n",
        (sh(sudo .. " sh -c " .. who)))
    end
    for _, sudo in ipairs({ "sudo -n -u wrenn-user",
      "sudo sudo -u wrenn-user" }) do
      assert.are.equal("1000 wrenn-user /home/wrenn-user wrenn-user"
        .. " wrenn-user\n", (sh(sudo .. " sh -c " .. who)))
    end
    assert.are.equal("cat: /etc/shadow: Permission denied\n",
      (sh("cat /etc/shadow")))
    assert.are.equal("root\n", (sh("sudo cut -d: -f1 /etc/shadow | head -n 1")))
    assert.are.equal("there\n",
      (sh("sudo touch /opt/f && test -e /opt/f && echo there")))
    assert.are.equal("[v] []\n",
      (sh('X=lost sudo Y=v sh -c \'echo "[$Y] [$X]"\'')))
    assert.are.equal("[kept]\n", (sh('X=kept sudo -E sh -c \'echo "[$X]"\'')))
    for line, code in pairs({ ["sudo true"] = 0, ["sudo sh -c 'exit 7'"] = 7,
      ["sudo no-such-program"] = 1, ["sudo -u no-such-user true"] = 1,
      ["sudo"] = 1, ["sudo -v"] = 0 }) do
      assert.are.equal(code, (select(2, sh(line))), line)
    end
  end)
end)
