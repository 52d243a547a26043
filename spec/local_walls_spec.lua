-- The walls of a capsule, attacked from inside.

local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

-- Asks the kernel directly, as an attacker would; prints the error's name.
-- Numbers are those of x86-64.
local ASK = [[
import ctypes, errno, fcntl, mmap, os, pty, struct, sys
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *args):
    result = libc.syscall(number, *args)
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]

def of_32_bits():  # unshare(CLONE_NEWUSER), by the calls of the i386
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(b"\x53\xb8\x36\x01\x00\x00\xbb\x00\x00\x00\x10\xcd\x80\x5b\xc3")
    at = ctypes.addressof(ctypes.c_char.from_buffer(code))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(at)()
    return "done" if result >= 0 else errno.errorcode[-result]

def type_into(request):
    master, terminal = pty.openpty()
    try:
        fcntl.ioctl(terminal, request, b"x")
        return "done"
    except OSError as e:
        return errno.errorcode[e.errno]

USER, MOUNTS = 0x10000000, 0x20000
attacks = {
    "unshare": lambda: call(272, USER),
    "unshare of mounts": lambda: call(272, MOUNTS),
    "clone": lambda: call(56, USER | 17, 0, 0, 0, 0),
    "clone3": lambda: call(435, b"\0" * 88, 88),
    "i386": of_32_bits,
    "x32": lambda: call(0x40000000 + 272, USER),
    "mount": lambda: call(165, b"x", b"/tmp", b"tmpfs", 0, None),
    "umount": lambda: call(166, b"/proc", 2),
    "fsopen": lambda: call(430, b"tmpfs", 0),
    "setns": lambda: call(308, os.open("/proc/self/ns/mnt", 0), MOUNTS),
    "keyctl": lambda: call(250, 0, -3, 0),
    "add_key": lambda: call(248, b"user", b"x", b"y", 1, -3),
    "bpf": lambda: call(321, 0, 0, 0),
    "perf": lambda: call(298, b"\0" * 128, 0, -1, -1, 0),
    "io_uring": lambda: call(425, 8, b"\0" * 120),
    "vsock": lambda: call(41, 40, 1, 0),
    "TIOCSTI": lambda: type_into(0x5412),
}
for name in sorted(attacks):
    print(name, attacks[name]())
]]

local ANSWERS = [[
TIOCSTI EPERM
add_key EPERM
bpf EPERM
clone EPERM
clone3 ENOSYS
fsopen EPERM
i386 ENOSYS
io_uring ENOSYS
keyctl EPERM
mount EPERM
perf EPERM
setns EPERM
umount EPERM
unshare EPERM
unshare of mounts EPERM
vsock EAFNOSUPPORT
x32 ENOSYS
]]

for _, user in ipairs({ "root", "wrenn-user" }) do
  walls.only(describe, pending)("an attacker who is " .. user, function()
    local s, capsule

    setup(function()
      s = server.start("--isolation bwrap --user " .. user)
      capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
      assert(capsule.files:write("ask.py", ASK))
    end)

    teardown(function()
      s:stop()
    end)

    local function sh(line)
      local result = assert(capsule.commands:run(line))
      return result.stdout .. result.stderr, result.exit_code
    end

    local machine = io.popen("uname -m"):read("*l")
    local here = machine == "x86_64" and it or pending
    here("is denied what leads out, whatever the way of asking", function()
      assert.are.equal(ANSWERS, (sh("python3 -I ask.py")))
      if user ~= "root" then -- with all capabilities in a namespace
        assert.are.equal(ANSWERS, (sh("sudo python3 -I ask.py")))
        assert.are.equal(ANSWERS,
          (sh("nsenter --preserve-credentials -U -t 2 -- python3 -I ask.py")))
      end
    end)

    it("sees no keys, and nothing of the kernel's memory", function()
      assert.are.equal("0\n", (sh("cat /proc/keys /proc/key-users /proc/kcore"
        .. " 2>/dev/null | wc -c")))
    end)

    it("fills no memory by way of files", function()
      for place, mib in pairs({ ["/dev/shm"] = 256, ["/run"] = 64 }) do
        local text = sh(("head -c %dM /dev/zero >%s/x; stat -c %%s %s/x;"
          .. " rm %s/x"):format(mib + 8, place, place, place))
        local size = tonumber(text:match("^(%d+)"))
        assert.is_true(size <= mib * 1024 * 1024, place .. " " .. text)
      end
      for _, place in ipairs({ "/dev", "/usr/local/sbin" }) do
        assert.are_not.equal(0, select(2, sh("touch " .. place .. "/x")))
      end
    end)

    it("has a limit of open files, and is the first to go", function()
      assert.are.equal("yes 1000\n", (sh("test $(ulimit -Hn) -le 65536"
        .. " && echo yes $(cat /proc/self/oom_score_adj)")))
    end)

    it("has a limit of processes", function()
      assert.are.equal("2048\n", (sh("bash -c 'ulimit -Hu'")))
    end)

    it("still has debuggers' and interpreters' calls", function()
      assert.are.equal("[1, 4, 9] 0\n", (sh("python3 -I -c '"
        .. "import multiprocessing as m, ctypes\n"
        .. "def f(x): return x * x\n"
        .. "if __name__ == \"__main__\":\n"
        .. "  with m.Pool(2) as p: print(p.map(f, [1, 2, 3]),"
        .. " ctypes.CDLL(None).ptrace(0, 0, 0, 0))'")))
    end)
  end)
end

describe("wrenn-local --check", function()
  local program = os.getenv("WRENN_LOCAL") or "build/local/wrenn-local"

  it("says of each point whether it works, or what to do", function()
    local pipe = io.popen(program .. " --check; echo $?")
    local text = pipe:read("*a")
    pipe:close()
    local points = 0
    for line in text:gmatch("[^\n]+\n") do
      points = points + (line:find("^yes  ") and 1 or line:find("^no   ")
        and line:find("%.? [A-Z]") and 1 or 0)
    end
    assert.is_true(points >= 8, text)
    local works = text:find("yes  walls", 1, true) ~= nil
    assert.are.equal(works and "0" or "1", text:match("(%d)\n$"), text)
    assert.is_true(works or not walls.up, text)
  end)

  it("names what is missing", function()
    local pipe = io.popen("PATH=/nowhere WRENN_AGENT=/nowhere " .. program
      .. " --check; echo $?")
    local text = pipe:read("*a")
    pipe:close()
    assert.is_truthy(text:find("no   bubblewrap +is missing. Install it"), text)
    assert.are.equal("1", text:match("(%d)\n$"), text)
  end)
end)
