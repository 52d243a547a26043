-- capsule.files: download, upload, download_dir, upload_dir, and streams with a
-- slow peer.

local core = require("wrenn.core")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local tar = require("wrenn.files.tar")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule
local is_error = expect.error
local shell, read_file, write_file = disk.shell, disk.read, disk.write

local function is_local_error(result, err)
  is_error("WrennError", result, err)
  assert.are.equal("local", err.details.kind)
end

-- What is in a directory, links and rights included, in one text.
local function tree_of(dir)
  return shell(("cd '%s' && find . -mindepth 1 -printf '%%p %%y %%m %%l\\n'"
    .. " | sort; find . -type f -exec sha256sum {} + | sort"):format(dir))
end

local dir

local function here(name)
  return dir .. "/" .. name
end

setup(function()
  dir = disk.folder()
end)

teardown(function()
  shell("chmod -R u+w " .. dir .. "; rm -rf " .. dir)
end)

describe("transfers with wrenn-local", function()
  local s, capsule, files

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
    files = capsule.files
  end)

  teardown(function()
    s:stop()
  end)

  local function sh(line)
    return assert(capsule.commands:run(line, { check = true })).stdout
  end

  for name, content in pairs({
    ["nothing"] = "", ["bytes"] = "\0\1\2\255\r\n",
    ["3 MiB"] = ("0123456789abcd\r\n"):rep(196608),
  }) do
    it("keep " .. name, function()
      write_file(here("up"), content)
      assert.is_true(files:upload(here("up"), "/tmp/t/x", { verify = true }))
      assert.is_true(content == files:read("/tmp/t/x"))
      assert.is_true(files:download("/tmp/t/x", here("down"),
        { verify = true }))
      assert.is_true(content == read_file(here("down")))
    end)
  end

  it("report how far they are, in order, to the end", function()
    write_file(here("up"), ("x"):rep(1500000))
    local function watcher()
      local seen = {}
      return seen, function(bytes, total)
        assert.are.equal(1500000, total)
        assert.is_true(bytes >= (seen[#seen] or 0))
        seen[#seen + 1] = bytes
      end
    end
    local sent, on_sent = watcher()
    assert.is_true(files:upload(here("up"), "/tmp/p",
      { on_progress = on_sent }))
    assert.are.equal(1500000, sent[#sent])
    local got, on_got = watcher()
    assert.is_true(files:download("/tmp/p", here("down"),
      { on_progress = on_got }))
    assert.are.equal(1500000, got[#got])
    assert.is_true(#got > 1 and #sent > 1)
  end)

  it("a file takes its target's place at the end, and leaves no other",
    function()
      shell("mkdir " .. here("clean"))
      write_file(here("clean/f"), "old")
      sh("head -c 2000000 /dev/zero > /tmp/z")
      assert.is_true(files:download("/tmp/z", here("clean/f"),
        { on_progress = function()
          assert.are.equal("old", read_file(here("clean/f")))
        end }))
      assert.are.equal(2000000, #read_file(here("clean/f")))
      is_error("NotFoundError", files:download("/tmp/none", here("clean/f")))
      assert.are.equal("f\n", shell("ls -A " .. here("clean")))
    end)

  it("a file that cannot take its target's place is a failure", function()
    shell("mkdir " .. here("taken"))
    sh("head -c 2000000 /dev/zero > /tmp/z")
    is_local_error(files:download("/tmp/z", here("taken/f"),
      { on_progress = function()
        shell("mkdir -p " .. here("taken/f/x")) -- meanwhile
      end }))
    assert.are.equal("f\n", shell("ls -A " .. here("taken")))
  end)

  it("what a callback raises comes through, and nothing is left", function()
    shell("mkdir " .. here("raise"))
    local function raise()
      error("stop it", 0)
    end
    sh("head -c 2000000 /dev/zero > /tmp/z")
    assert.are.same({ false, "stop it" }, { pcall(files.download, files,
      "/tmp/z", here("raise/f"), { on_progress = raise }) })
    assert.are.equal("", shell("ls -A " .. here("raise")))
    write_file(here("up"), ("x"):rep(1000000))
    assert.are.same({ false, "stop it" }, { pcall(files.upload, files,
      here("up"), "/tmp/up", { on_progress = raise }) })
    assert.is_true(files:exists("/tmp"))
  end)

  it("a cancelled download leaves nothing", function()
    shell("mkdir " .. here("cancel"))
    sh("truncate -s 4G /tmp/vast") -- so that not all of it arrives in time
    local result, err = wrenn.task.with_timeout(0.2, function()
      return files:download("/tmp/vast", here("cancel/f"),
        { on_progress = function() wrenn.task.sleep(0.05) end })
    end)
    is_error("TimeoutError", result, err)
    sh("rm /tmp/vast")
    assert.are.equal("", shell("ls -A " .. here("cancel")))
  end)

  it("failures of this machine are told from the capsule's", function()
    is_local_error(files:upload(here("none"), "/tmp/x"))
    is_local_error(files:upload(dir, "/tmp/x"))
    is_local_error(files:upload("/dev/null", "/tmp/x"))
    sh("echo > /tmp/one")
    is_local_error(files:download("/tmp/one", here("none/x")))
    is_local_error(files:download("/tmp/one", dir))
    is_local_error(files:download("/tmp/one", "/dev/null"))
    is_local_error(files:upload_dir(here("none"), "/tmp/x"))
    write_file(here("plain"), "")
    is_local_error(files:upload_dir(here("plain"), "/tmp/x"))
    is_local_error(files:download_dir("/tmp", here("plain")))
    is_local_error(files:download_dir("/tmp", here("plain/x")))
    assert.are.equal("", sh("ls -A /tmp"
      .. " | grep -v '^wrenn-local-' | grep wrenn || :"))
  end)

  -- ---- resume --------------------------------------------------------------

  it("a download goes on from what it has", function()
    sh("head -c 3000000 /dev/urandom > /tmp/r")
    local whole = files:read("/tmp/r")
    for _, have in ipairs({ 1, 1000000, 2999999, 3000000 }) do
      write_file(here("r.part"), whole:sub(1, have))
      local first
      assert.is_true(files:download("/tmp/r", here("r"), { resume = true,
        verify = true, on_progress = function(bytes, total)
          first = first or bytes
          assert.are.equal(3000000, total)
        end }))
      assert.is_true(have == 3000000 or first > have)
      assert.is_true(whole == read_file(here("r")))
      assert.is_nil((io.open(here("r.part"))))
    end
    assert.are.equal("", sh("ls -A /tmp"
      .. " | grep -v '^wrenn-local-' | grep wrenn || :"))
  end)

  it("a download of another file than before begins anew", function()
    sh("printf 'new content' > /tmp/r")
    for _, part in ipairs({ "old", "old, and longer than the new one", "" }) do
      write_file(here("r.part"), part)
      assert.is_true(files:download("/tmp/r", here("r"), { resume = true }))
      assert.are.equal("new content", read_file(here("r")))
    end
  end)

  it("a part is kept while there is nothing to go on from", function()
    write_file(here("k.part"), "precious")
    is_error("NotFoundError", files:download("/tmp/none", here("k"),
      { resume = true }))
    assert.are.equal("precious", read_file(here("k.part")))
  end)

  -- ---- directories ---------------------------------------------------------

  it("directories travel as they are", function()
    local long = ("n"):rep(120)
    shell(([[mkdir -p %s/src/a/%s %s/src/empty && cd %s/src &&
      printf hello > a/f && chmod 751 a/f && ln -s ../a/f a/l &&
      ln -s /nowhere a/broken && head -c 700000 /dev/urandom > a/%s/big &&
      : > zero && touch -d @1000000000 zero && printf x > 'ä b$(x)' &&
      chmod 500 empty && ln a/f a/hard]]):format(dir, long, dir, dir, long))
    local sent, got = {}, {}
    local function add_to(list)
      return { on_progress = function(bytes)
        assert(bytes > (list[#list] or 0))
        list[#list + 1] = bytes
      end }
    end
    local up = assert(files:upload_dir(here("src"), "~/d/up", add_to(sent)))
    assert.is_true(#sent > 1 and sent[#sent] > 700006, sent[#sent])
    assert.are.same({ 5, 3, 2, 700006 },
      { up.files, up.directories, up.symlinks, up.bytes })
    assert.are.equal("1", (sh("cd d/up; [ a/f -ef a/hard ] && printf 1")))
    assert.are.equal("1000000000\n", sh("stat -c %Y d/up/zero"))
    local down = assert(files:download_dir("d/up", here("dst/x/y"),
      add_to(got)))
    assert.is_true(#got > 1 and got[#got] > 700006, got[#got])
    assert.are.same({ 5, 3, 2, 700006 },
      { down.files, down.directories, down.symlinks, down.bytes })
    assert.are.equal(tree_of(here("src")), tree_of(here("dst/x/y")))
    assert.are.equal("1000000000\n", shell("stat -c %Y " .. here(
      "dst/x/y/zero")))
    assert.are.equal("", sh("ls -A /tmp"
      .. " | grep -v '^wrenn-local-' | grep wrenn || :"))
  end)

  it("directories that are there already are filled up", function()
    shell(("mkdir -p %s/again; cd %s/again; echo 1 > f; echo o > other")
      :format(dir, dir))
    sh("mkdir -p again; cd again; printf new > f; printf x > theirs")
    assert(files:download_dir("again", here("again")))
    assert.are.equal("new", read_file(here("again/f")))
    assert.are.equal("o\n", read_file(here("again/other")))
    write_file(here("again/f"), "newer")
    assert(files:upload_dir(here("again"), "again"))
    assert.are.equal("newer", files:read("again/f"))
    assert.are.equal("o\n", files:read("again/other"))
  end)

  it("what is no file, directory or link is left out, and said", function()
    sh("mkdir -p sp; mkfifo sp/p; echo > sp/f")
    local down = assert(files:download_dir("sp", here("sp")))
    assert.are.same({ "p" }, down.skipped)
    assert.are.equal(1, down.files)
    shell("mkfifo " .. here("sp/q"))
    local up = assert(files:upload_dir(here("sp"), "sp2"))
    assert.are.same({ "q" }, up.skipped)
  end)

  it("setuid bits stay in the capsule", function()
    sh("mkdir -p su; echo > su/f; chmod 4755 su/f")
    assert(files:download_dir("su", here("su")))
    assert.are.equal("755\n", shell("stat -c %a " .. here("su/f")))
  end)

  it("nothing is written through a link that is there", function()
    shell(("mkdir -p %s/safe %s/outside; ln -s ../outside %s/safe/d")
      :format(dir, dir, dir))
    sh("mkdir -p esc/d; echo x > esc/d/f")
    is_local_error(files:download_dir("esc", here("safe")))
    assert.are.equal("", shell("ls -A " .. here("outside")))
  end)

  it("of directories that are none fail, with nothing left", function()
    is_error("NotFoundError", files:download_dir("none", here("nd")))
    sh("echo > plain")
    is_error("ConflictError", files:download_dir("plain", here("nd")))
    assert.is_nil((core.file_type(here("nd"))))
    is_error("ConflictError", files:upload_dir(here("src"), "plain"))
    is_error("ValidationError", files:upload_dir(here("src"), "~bob"))
    is_error("ValidationError", files:download_dir("~bob/x", here("nd")))
    assert.are.equal("", sh("ls -A /tmp"
      .. " | grep -v '^wrenn-local-' | grep wrenn || :"))
  end)

  -- ---- slow ends -----------------------------------------------------------

  -- MiB more than before that are fine. AddressSanitizer keeps what is freed.
  local BOUND = os.getenv("ASAN_OPTIONS") and 400 or 8

  local function resident()
    return tonumber(read_file("/proc/self/status"):match("VmRSS:%s+(%d+)"))
  end

  it("a slow reader's memory is bounded, and the connection stays", function()
    sh("truncate -s 64M /tmp/zeros")
    local function read_slowly()
      local size, most = 0, 0
      for piece in assert(files:download_stream("/tmp/zeros")) do
        size = size + #piece
        if size % (4 * 1024 * 1024) < #piece then
          wrenn.task.sleep(0.02)
        end
        most = math.max(most, resident())
      end
      assert.are.equal(64 * 1024 * 1024, size)
      return most
    end
    collectgarbage()
    local before = resident()
    assert.is_true(read_slowly() - before < BOUND * 1024)
    assert.are.equal("fine", sh("printf fine"))
  end)

  it("a slow source's memory is bounded", function()
    local piece, left, most = ("x"):rep(1024 * 1024), 64, 0
    collectgarbage()
    local before = resident()
    assert.is_true(files:upload_stream("/tmp/slow", function()
      if left % 8 == 0 then
        wrenn.task.sleep(0.01)
      end
      most = math.max(most, resident())
      left = left - 1
      return left >= 0 and piece or nil
    end))
    assert.is_true(most - before < BOUND * 1024)
    assert.are.equal(64 * 1024 * 1024, assert(files:stat("/tmp/slow")).size)
  end)

  it("several at once do not mix", function()
    sh("mkdir -p many; for i in $(seq 12); do"
      .. " head -c 300000 /dev/urandom > many/$i; done")
    local list = {}
    for i = 1, 12 do
      list[i] = tostring(i)
    end
    shell("mkdir -p " .. here("many"))
    assert(wrenn.task.map(list, function(name)
      return files:download("many/" .. name, here("many/" .. name),
        { verify = true })
    end))
    assert.are.equal(sh("cd many; sha256sum *"),
      shell("cd " .. here("many") .. "; sha256sum *"))
  end)

  it("misuse names the argument", function()
    for _, case in ipairs({
      { "path", files.download }, { "local_path", files.download, "x" },
      { "local_path", files.download, "x", "a\0b" },
      { "resume", files.download, "x", "y", { resume = 1 } },
      { "on_progress", files.download, "x", "y", { on_progress = true } },
      { "verfy", files.download, "x", "y", { verfy = true } },
      { "local_path", files.upload }, { "path", files.upload, "x" },
      { "resume", files.upload, "x", "y", { resume = true } },
      { "path", files.download_dir, "" },
      { "local_dir", files.download_dir, "x" },
      { "local_dir", files.upload_dir }, { "path", files.upload_dir, "x", 1 },
    }) do
      local ok, err = pcall(case[2], files, case[3], case[4], case[5])
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find("'" .. case[1] .. "'", 1, true),
        tostring(err))
    end
    for _, name in ipairs({ "download", "upload", "download_dir",
      "upload_dir" })
    do
      assert.is_false((pcall(files[name], "x", "y", "z")))
    end
  end)
end)

describe("transfers with a scripted server", function()
  local p

  after_each(function()
    p:stop()
  end)

  local ok = { 200, '{"stdout":"","stderr":"","exit_code":0}' }
  local function files_of(...)
    p = peer.answering(peer.RUNNING, ...)
    return p:capsule().files
  end

  local function list(name, size)
    return { 200, ('{"entries":[{"name":"%s","path":"/%s","type":"file",'
      .. '"size":%d}]}'):format(name, name, size) }
  end

  local broken = [[
    while true do
      local req = c:request()
      if not req then return end
      if req.path:find("stream/read") then
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        c:sleep(0.05)
        return c:close()
      elseif req.path:find("files/list") then
        c:respond(200, '{"entries":[{"name":"x","path":"/x",'
          .. '"type":"file","size":9}]}')
      else
        c:respond(200, '{"id":"cl-1","status":"running"}')
      end
    end
  ]]

  it("a broken download leaves no half file", function()
    p = peer.start(broken)
    local files = p:capsule().files
    shell("mkdir " .. here("broken"))
    is_error("ConnectionError", files:download("/x", here("broken/f")))
    assert.are.equal("", shell("ls -A " .. here("broken")))
    is_error("ConnectionError", files:download("/x", here("broken/f"),
      { resume = true }))
    assert.are.equal("f.part\n", shell("ls -A " .. here("broken")))
    assert.are.equal("abc", read_file(here("broken/f.part")))
  end)

  it("resuming falls back to skipping where there is no room", function()
    local files = files_of({ 200, '{"stdout":"","exit_code":1,'
      .. '"stderr":"tail: error writing: No space left on device"}' },
      { 204 }, list("x", 6), { 200, "abcdef" })
    write_file(here("skip.part"), "abcd")
    assert.is_true(files:download("/x", here("skip"), { resume = true }))
    assert.are.equal("abcdef", read_file(here("skip")))
  end)

  it("a checksum that differs is an error, and the part goes", function()
    for _, resume in ipairs({ true, false }) do
      local files = files_of(list("x", 3), { 200, "abc" },
        { 200, ('{"stdout":"%s  /x",'
        .. '"stderr":"","exit_code":0}'):format(("0"):rep(64)) })
      local err = is_error("ProtocolError", files:download("/x", here("sum"),
        { verify = true, resume = resume }))
      assert.are.equal("verify", err.details.kind)
      assert.is_nil((io.open(here("sum"))))
      assert.is_nil((io.open(here("sum.part"))))
      p:stop()
    end
    write_file(here("sum"), "abc")
    local files = files_of({ 204 }, { 200, ('{"stdout":"%s  /x",'
      .. '"stderr":"","exit_code":0}'):format(("0"):rep(64)) })
    is_error("ProtocolError", files:upload(here("sum"), "/x",
      { verify = true }))
    p:stop()
    files = files_of({ 204 }, { 200, '{"stdout":"","exit_code":127,'
      .. '"stderr":"sha256sum: not found"}' })
    is_error("CommandError", files:upload(here("sum"), "/x",
      { verify = true }))
  end)

  local function entry(kind, path, more)
    local fields = { type = kind, path = path, mode = 493, mtime = 0, size = 0 }
    for name, value in pairs(more or {}) do
      fields[name] = value
    end
    return tar.header(fields)
  end

  local loose = "wrenn-" .. server.unique() -- what must not come to be in /tmp

  local function escaping(target)
    return entry("symlink", "l", { target = target })
      .. entry("file", "l/" .. loose, { size = 3 }) .. "bad" .. tar.padding(3)
  end

  local hostile = {
    ["an absolute path"] = entry("file", "/tmp/" .. loose),
    ["a path that leads out"] = entry("file", "../f"),
    ["a path that leads out from below"] = entry("file", "a/../../f"),
    ["a directory that leads out"] = entry("directory", ".."),
    ["a link and a file through it"] = escaping(".."),
    ["an absolute link and a file through it"] = escaping("/tmp"),
    ["a link and a directory through it"] =
      entry("symlink", "l", { target = ".." })
      .. entry("directory", "l/made"),
    ["a link in the place of a directory"] = entry("directory", "d")
      .. entry("symlink", "d", { target = ".." }),
    ["a hard link out"] = entry("link", "h", { target = "../secret" }),
    ["an absolute hard link"] = entry("link", "h", { target = "/etc/passwd" }),
    ["a hard link through a link"] = entry("symlink", "l", { target = ".." })
      .. entry("link", "h", { target = "l/secret" }),
    ["a hard link to nothing"] = entry("link", "h", { target = "none" }),
    ["a hard link to the directory"] = entry("link", "h", { target = "." }),
    ["a file in the directory's own place"] = entry("file", "."),
    ["a name that is too long"] = entry("file", ("n"):rep(256)),
    ["a path that is too long"] = entry("directory", ("n/"):rep(2100)),
    ["a link target that is too long"] =
      entry("symlink", "l", { target = ("t"):rep(5000) }),
    ["no header"] = ("x"):rep(512),
    ["too little"] = entry("file", "f", { size = 5 }) .. "ab",
  }
  for name, bytes in pairs(hostile) do
    it("an archive with " .. name .. " is refused", function()
      local complete = name == "too little" and bytes or bytes .. tar.END
      local files = files_of(ok, { 200, complete }, { 204 })
      shell(("rm -rf %s/jail; mkdir -p %s/jail/in; echo s > %s/jail/secret")
        :format(dir, dir, dir))
      local result, err = files:download_dir("/x", here("jail/in"))
      is_error("WrennError", result, err)
      assert.are.equal("in\nsecret\n", shell("ls -A " .. here("jail")))
      assert.are.equal("s\n", read_file(here("jail/secret")))
      assert.are.equal("1\n", shell("stat -c %h " .. here("jail/secret")))
      assert.is_nil((io.open("/tmp/" .. loose)))
      assert.is_truthy(p:received()[4]:find("files/remove", 1, true))
    end)
  end

  it("devices of an archive are not made", function()
    local header = entry("file", "null")
    header = header:sub(1, 156) .. "3" .. header:sub(158)
    local sum = 8 * 32
    for at = 1, 512 do
      if at < 149 or at > 156 then
        sum = sum + header:byte(at)
      end
    end
    header = header:sub(1, 148) .. ("%06o\0 "):format(sum) .. header:sub(157)
    local files = files_of(ok, { 200, header .. tar.END }, { 204 })
    local result = assert(files:download_dir("/x", here("dev")))
    assert.are.same({ "null" }, result.skipped)
    assert.are.equal("", shell("ls -A " .. here("dev")))
  end)

  it("a file that changed while tar read it is a warning", function()
    local files = files_of({ 200, '{"stdout":"","exit_code":1,'
      .. '"stderr":"tar: ./f: file changed as we read it"}' },
      { 200, entry("file", "f") .. tar.END }, { 204 })
    local result = assert(files:download_dir("/x", here("warned")))
    assert.is_truthy(result.warnings:find("file changed", 1, true))
  end)

  it("the archive in the capsule is removed, whatever fails", function()
    local files = files_of(
      { 500, '{"error":{"code":"internal","message":"x"}}' })
    is_error("InternalError", files:download_dir("/x", here("nothing")))
    assert.is_truthy(p:received()[3]:find("files/remove", 1, true))
    p:stop()
    shell("mkdir -p " .. here("some"))
    files = files_of({ 204 }, { 200, '{"stdout":"","exit_code":2,'
      .. '"stderr":"tar: x: Cannot open: No space left on device"}' }, { 204 })
    is_error("CommandError", files:upload_dir(here("some"), "/x"))
    assert.is_truthy(p:received()[4]:find("files/remove", 1, true))
  end)
end)
