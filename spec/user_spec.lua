-- Commands as another user than the capsule's default one. A scripted server runs
-- the commands on this machine, with stand-ins for id, sudo and runuser in the
-- PATH.

local cjson = require("cjson")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

local function sh(text)
  return "#!/bin/sh\n" .. text .. "\n"
end

local TOOLS = {
  id = sh([[
case $1 in
  -un) echo "${FAKE_USER:-$FAKE_DEFAULT}" ;;
  -u) [ "${FAKE_USER:-$FAKE_DEFAULT}" = root ] && echo 0 || echo 1000 ;;
esac]]),
  sudo = sh([[
[ "$FAKE_SUDO" = yes ] || { echo "sudo: a password is required" >&2; exit 1; }
[ "$1 $2 $3 $5" = "-n -E -u --" ] || { echo "sudo: $*" >&2; exit 2; }
export FAKE_USER=$4 FAKE_BY=sudo
shift 5
exec "$@"]]),
  runuser = sh([[
[ "$FAKE_DEFAULT" = root ] || { echo "runuser: not root" >&2; exit 1; }
[ "$1 $3" = "-u --" ] || { echo "runuser: $*" >&2; exit 2; }
export FAKE_USER=$2 FAKE_BY=runuser
shift 3
exec "$@"]]),
}

-- Answers exec with what the command does here.
local SCRIPT = [[
  local cjson = require("cjson")
  local function quote(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
  end
  while true do
    local req = c:request()
    if not req then return end
    if not req.path:find("/exec$") then
      c:respond(200,
        '{"id":"cl-1","status":"running","version":"0.4.0"}')
    else
      local body = cjson.decode(req.body)
      local line = { "cd /tmp; env", "PATH=%s:$PATH", "FAKE_DEFAULT=%s",
        "FAKE_SUDO=%s" }
      for name, value in pairs(body.envs or {}) do
        line[#line + 1] = quote(name .. "=" .. value)
      end
      line[#line + 1] = quote(body.cmd)
      for _, arg in ipairs(body.args or {}) do line[#line + 1] = quote(arg) end
      local out, err = os.tmpname(), os.tmpname()
      local _, _, code = os.execute(table.concat(line, " ") .. " >" .. out
        .. " 2>" .. err)
      local function text(path)
        local file = io.open(path)
        local all = file:read("a")
        file:close()
        os.remove(path)
        return all
      end
      c:respond(200, cjson.encode({ exit_code = code, stdout = text(out),
        stderr = text(err) }))
    end
  end
]]

describe("a command as another user", function()
  local folder, p

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    for name, text in pairs(TOOLS) do
      local file = assert(io.open(folder .. "/" .. name, "w"))
      file:write(text)
      file:close()
    end
    os.execute("chmod +x " .. folder .. "/*")
  end)

  teardown(function()
    os.execute("rm -r " .. folder)
  end)

  after_each(function()
    p:stop()
  end)

  local function commands_of(default, sudo)
    p = peer.start(SCRIPT:format(folder, default, sudo))
    return assert(wrenn.Capsule.connect("cl-1", p:options())).commands
  end

  local function commands_sent()
    local count = 0
    for _, text in ipairs(p:received()) do
      count = count + (text:find("^POST %S+/exec ") and 1 or 0)
    end
    return count
  end

  local SHOW = 'echo "$(id -un) by $FAKE_BY in $(pwd) at $HOME, $USER, $A"'

  for default, how in pairs({ root = "runuser", ["wrenn-user"] = "sudo" }) do
    it("is run by " .. how .. " from " .. default, function()
      local commands = commands_of(default, "yes")
      for _ = 1, 2 do
        local result = assert(commands:run(SHOW,
          { user = "daemon", envs = { A = "a b" } }))
        assert.are.equal("daemon by " .. how .. " in /usr/sbin at /usr/sbin,"
          .. " daemon, a b\n", result.stdout)
      end
      local result = assert(commands:run(SHOW, { user = "daemon",
        cwd = "/", envs = { HOME = "/h" } }))
      assert.is_truthy(result.stdout:find(" in / at /h, daemon", 1, true),
        result.stdout)
      -- The user was looked up once.
      assert.are.equal(4, commands_sent())
    end)
  end

  it("is none as the default user", function()
    local commands = commands_of("root", "no")
    local result = assert(commands:run(SHOW, { user = "root" }))
    assert.is_truthy(result.stdout:find("^root by  in "))
    assert.are.equal(2, commands_sent())
  end)

  it("is refused with the reason where sudo asks for something", function()
    local result, err = commands_of("wrenn-user", "no"):run("true",
      { user = "root" })
    assert.is_nil(result)
    assert.are.equal("ValidationError", err.type)
    assert.are.equal("cannot run commands as user 'root': sudo: a password is"
      .. " required", err.message)
  end)

  it("is refused where there is no such user", function()
    local _, err = commands_of("wrenn-user", "yes"):run("true",
      { user = "no-such-user" })
    assert.are.equal("ValidationError", err.type)
    assert.are.equal("there is no user 'no-such-user' in the capsule",
      err.message)
  end)

  it("may be one whose home only that user can enter", function()
    local commands = commands_of("wrenn-user", "yes")
    commands.users = { other = { name = "other", home = "/no/such/home" } }
    local result = assert(commands:run("pwd", { user = "other" }))
    assert.are.equal("/\n", result.stdout) -- there is none: as after a login
    local sent = p:received()
    assert.is_truthy(cjson.decode(sent[#sent]:match("\r\n\r\n(.*)$"))
      .args[2]:find("exec sudo", 1, true))
  end)
end)
