-- The tar codec: reading, writing, malformed and hostile archives, and unpacking
-- them into a directory.

local core = require("wrenn.core")
local disk = require("spec.support.disk")
local tar = require("wrenn.files.tar")

local shell = disk.shell

-- A header of any kind, with a right checksum unless one is given.
local function raw(fields)
  local function pad(text, size)
    return text .. ("\0"):rep(size - #text)
  end
  local head = pad(fields.path or "", 100)
    .. pad(fields.mode or "0000644\0", 8)
    .. pad("0000000\0", 8) .. pad("0000000\0", 8)
    .. pad(fields.size or "00000000000\0", 12)
    .. pad(fields.mtime or "00000000000\0", 12)
  local tail = pad((fields.kind or "0") .. pad(fields.target or "", 100)
    .. pad(fields.magic or "ustar\00000", 8) .. ("\0"):rep(80)
    .. pad(fields.prefix or "", 155), 512 - 156)
  local sum = 8 * 32
  for byte in (head .. tail):gmatch(".") do
    sum = sum + byte:byte()
  end
  return head .. (fields.check or ("%06o\0 "):format(sum)) .. tail
end

local function padded(data)
  return data .. ("\0"):rep(-#data % 512)
end

local function octal(size)
  return ("%011o\0"):format(size)
end

local function meta(kind, data)
  return raw({ kind = kind, path = "meta", size = octal(#data) })
    .. padded(data)
end

-- Reads an archive, `step` bytes at a time. Returns the entries, or nil, why.
local function read(bytes, step)
  local entries, pieces = {}, nil
  local reader = tar.reader({
    entry = function(entry)
      entries[#entries + 1] = entry
      pieces = {}
      return true
    end,
    data = function(piece)
      pieces[#pieces + 1] = piece
      return true
    end,
    done = function()
      entries[#entries].data = table.concat(pieces)
      return true
    end,
  })
  for at = 1, #bytes, step or #bytes do
    local ok, why = reader:feed(bytes:sub(at, at + (step or #bytes) - 1))
    if not ok then
      return nil, why
    end
  end
  local ok, why = reader:finish()
  return ok and entries, why
end

local function brief(entries)
  local list = {}
  for i, entry in ipairs(entries) do
    list[i] = ("%s %s %s"):format(entry.type, entry.path,
      entry.data or entry.target)
  end
  return list
end

describe("a tar reader", function()
  it("reads every kind of entry, however it is cut", function()
    local bytes = raw({ path = "d/", kind = "5" })
      .. raw({ path = "d/f", size = octal(5), mode = "0000751\0",
        mtime = octal(1234567890) }) .. padded("hello")
      .. raw({ path = "empty" })
      .. raw({ path = "block", size = octal(512) }) .. ("b"):rep(512)
      .. raw({ path = "s", kind = "2", target = "../x" })
      .. raw({ path = "h", kind = "1", target = "d/f" })
      .. raw({ path = "dev", kind = "3" }) .. raw({ path = "p", kind = "6" })
      .. tar.END
    local expected = { "directory d/ ", "file d/f hello", "file empty ",
      "file block " .. ("b"):rep(512), "symlink s ../x", "link h d/f",
      "other dev ", "other p " }
    for _, step in ipairs({ #bytes, 1, 7, 511, 512, 513 }) do
      local entries = assert(read(bytes, step))
      assert.are.same(expected, brief(entries))
      assert.are.equal(tonumber("751", 8), entries[2].mode)
      assert.are.equal(1234567890, entries[2].mtime)
    end
  end)

  it("knows long names of three kinds", function()
    local long, target = ("n"):rep(300), ("t"):rep(200)
    assert.are.same({ "symlink " .. long .. " " .. target }, brief(assert(read(
      meta("L", long .. "\0") .. meta("K", target .. "\0")
      .. raw({ kind = "2", path = "cut", target = "cut" }) .. tar.END))))
    local record = " path=" .. long .. "\n"
    record = (#record + 3) .. record
    assert.are.same({ "file " .. long .. " x", "file b " }, brief(assert(read(
      meta("g", "9 a=bcd\n") .. meta("x", record .. "10 size=1\n")
      .. raw({ path = "cut" }) .. padded("x") .. raw({ path = "b" })
      .. tar.END))))
    assert.are.same({ "file pre/fix/name " }, brief(assert(read(
      raw({ path = "name", prefix = "pre/fix" }) .. tar.END))))
    -- the same bytes mean something else in a GNU header
    assert.are.same({ "file name " }, brief(assert(read(
      raw({ path = "name", prefix = "1234", magic = "ustar  \0" })
      .. tar.END))))
  end)

  it("knows numbers in base 256", function()
    local entries = assert(read(raw({ path = "neg", kind = "5",
      mtime = ("\255"):rep(11) .. "\246" }) .. tar.END))
    assert.are.equal(-10, entries[1].mtime)
    local seen
    local reader = tar.reader({ entry = function(entry)
      seen = entry.size
      return true
    end })
    assert(reader:feed(raw({ path = "big",
      size = "\128" .. ("\0"):rep(6) .. "\2\0\0\0\0" })))
    assert.are.equal(8589934592, seen)
  end)

  local faults = {
    ["a wrong checksum"] = raw({ path = "a", check = "000000\0 " }),
    ["no number for a checksum"] = raw({ path = "a", check = "xxxxxxxx" }),
    ["text"] = ("text "):rep(103),
    ["a size that is no number"] = raw({ path = "a", size = "8888" }),
    ["a negative size"] = raw({ path = "a", size = ("\255"):rep(12) }),
    ["a size beyond reason"] = raw({ path = "a", size = "\128"
      .. ("\127"):rep(11) }),
    ["a size that would wrap around"] = raw({ path = "a", size = "\128\1"
      .. ("\0"):rep(10) }),
    ["a number of an unknown form"] = raw({ path = "a",
      size = "\200" .. ("\0"):rep(11) }),
    ["an unknown type"] = raw({ path = "a", kind = "Z" }),
    ["an old sparse file"] = raw({ path = "a", kind = "S" }),
    ["a new sparse file"] = meta("x", "22 GNU.sparse.major=1\n")
      .. raw({ path = "a" }),
    ["a name without end"] = raw({ path = "a", kind = "L",
      size = octal(10000000) }),
    ["records without end"] = raw({ path = "a", kind = "x",
      size = octal(10000000) }),
    ["a record of the wrong length"] = meta("x", "13 path=abc\n"),
    ["a record without length"] = meta("x", "path=abc\n"),
    ["a record without value"] = meta("x", "8 path\n\n"),
    ["a record of length 0"] = meta("x", "0 path=a\n"),
    ["a record's time that is none"] = meta("x", "14 mtime=1e99\n")
      .. raw({ path = "a" }),
    ["a record's time beyond reason"] = meta("x", "30 mtime=99999999999999"
      .. "999999\n") .. raw({ path = "a" }),
    ["a record's size that is none"] = meta("x", "11 size=-1\n")
      .. raw({ path = "a" }),
    ["more behind one zero block"] = ("\0"):rep(512) .. raw({ path = "a" }),
  }
  for name, bytes in pairs(faults) do
    it("refuses " .. name, function()
      for _, step in ipairs({ #bytes, 100 }) do
        local entries, why = read(bytes .. tar.END, step)
        assert.is_nil(entries)
        assert.are.equal("string", type(why))
      end
    end)
  end

  it("tells an archive that is cut off", function()
    local bytes = raw({ path = "a", size = octal(600) })
      .. padded(("x"):rep(600)) .. tar.END
    for _, size in ipairs({ 0, 1, 511, 512, 600, 1112, 1535, 1536, 2559 }) do
      local entries, why = read(bytes:sub(1, size), 512)
      assert.is_falsy(entries)
      assert.is_truthy(why:find("too early", 1, true))
    end
    assert.is_truthy(read(bytes .. "what follows does not count"))
  end)

  it("stops when its handler does, and says why", function()
    local reader = tar.reader({ entry = function() return nil, "enough" end })
    assert.are.same({ nil, "enough" }, { reader:feed(raw({ path = "a" })) })
  end)

  it("survives headers of any kind", function()
    math.randomseed(11)
    local values = { "", "0", "7777777", "00000000001\0", "-1", "x", "8",
      "\128" .. ("\0"):rep(11), ("\255"):rep(12), ("\255"):rep(100),
      ("/"):rep(100), "../../x", ("n"):rep(100), "L", "K", "x", "g", "1", "5" }
    local names = { "path", "mode", "size", "mtime", "kind", "target", "magic",
      "prefix" }
    local room = { path = 100, mode = 8, size = 12, mtime = 12, kind = 1,
      target = 100, magic = 8, prefix = 155 }
    local read_well = 0
    for _ = 1, 3000 do
      local parts = {}
      for i = 1, math.random(3) do
        local fields = {}
        for _ = 1, math.random(4) do
          local name = names[math.random(#names)]
          fields[name] = values[math.random(#values)]:sub(1, room[name])
        end
        if fields.kind == "" then
          fields.kind = nil
        end
        parts[i] = raw(fields)
      end
      local ok, entries = pcall(read, table.concat(parts) .. tar.END,
        math.random(1, 2000))
      assert.is_true(ok, tostring(entries))
      for _, entry in ipairs(entries or {}) do
        read_well = read_well + 1
        tar.below(entry.path)
      end
    end
    assert.is_true(read_well > 100)
  end)

  it("survives any bytes", function()
    math.randomseed(7)
    local good = raw({ path = "a", size = octal(5) }) .. padded("hello")
      .. meta("x", "10 size=1\n") .. raw({ path = "b" }) .. padded("x")
    for _ = 1, 300 do
      local at = math.random(#good)
      local bytes = good:sub(1, at - 1) .. string.char(math.random(0, 255))
        .. good:sub(at + 1)
      local ok = pcall(read, bytes .. tar.END, math.random(1, 600))
      assert.is_true(ok)
    end
  end)
end)

describe("a path of an archive", function()
  it("is one below the directory, or none", function()
    local paths = { ["./a/b"] = "a/b", ["a//b/"] = "a/b", ["."] = "",
      ["./"] = "", ["a/./b"] = "a/b", ["..a/b.."] = "..a/b..",
      ["/etc"] = false, ["a/../b"] = false, [".."] = false, [""] = false,
      ["a\0b"] = false, ["./.."] = false, [("n"):rep(255)] = ("n"):rep(255),
      [("n"):rep(256)] = false, [("n/"):rep(2048)] = ("n/"):rep(2047) .. "n",
      [("n/"):rep(2049)] = false }
    for path, expected in pairs(paths) do
      assert.are.equal(expected, tar.below(path) or false, path)
    end
  end)
end)

describe("a tar writer", function()
  it("writes what tar reads, and the reader too", function()
    local long = ("d"):rep(90) .. "/" .. ("é"):rep(80)
    local bytes = tar.header({ type = "directory", path = ("d"):rep(90),
        mode = 493, mtime = 0 })
      .. tar.header({ type = "file", path = long, mode = 420, size = 3,
        mtime = 1700000000 }) .. "abc" .. tar.padding(3)
      .. tar.header({ type = "symlink", path = "l", mode = 511, mtime = 1,
        target = ("t/"):rep(70) .. "t" })
      .. tar.header({ type = "link", path = "h", mode = 420, mtime = 1,
        target = long })
      .. tar.header({ type = "file", path = "old", mode = 2541, size = 0,
        mtime = -5 })
      .. tar.END
    local entries = assert(read(bytes, 1000))
    assert.are.same({ "directory " .. ("d"):rep(90) .. "/ ",
      "file " .. long .. " abc", "symlink l " .. ("t/"):rep(70) .. "t",
      "link h " .. long, "file old " }, brief(entries))
    assert.are.equal(-5, entries[5].mtime)
    assert.are.equal(2541, entries[5].mode)
    local dir = disk.folder()
    local file = assert(io.open(dir .. "/a.tar", "wb"))
    file:write(bytes)
    file:close()
    shell(("cd %s && tar -xf a.tar 2>&1"):format(dir))
    assert.are.equal("abc", shell(("cat '%s/%s'"):format(dir, long)))
    assert.are.equal("abc", shell(("cat '%s/h'"):format(dir)))
    assert.are.equal(("t/"):rep(70) .. "t",
      shell(("readlink -n '%s/l'"):format(dir)))
    assert.are.equal("-5", (shell(("stat -c %%Y '%s/old'"):format(dir))
      :gsub("%s", "")))
    shell("rm -r " .. dir)
  end)

  it("is read back in each format that tar writes", function()
    local dir = disk.folder()
    shell(([[cd %s && mkdir -p in/%s && printf data > in/%s/f
      ln -s f in/l && ln in/l in/m]]):format(dir, ("x"):rep(120),
      ("x"):rep(120)))
    for _, format in ipairs({ "gnu", "pax", "oldgnu" }) do
      local bytes = shell(("cd %s/in && tar --format=%s -cf - ."):format(dir,
        format))
      local found = {}
      for _, line in ipairs(brief(assert(read(bytes, 777)))) do
        found[line] = true
      end
      assert.is_true(found["file ./" .. ("x"):rep(120) .. "/f data"])
      assert.is_true(found["symlink ./l f"] or found["symlink ./m f"])
    end
    shell("rm -r " .. dir)
  end)
end)

describe("a local tree", function()
  local dir, tree

  before_each(function()
    dir = disk.folder()
    shell("mkdir " .. dir .. "/in " .. dir .. "/out")
    tree = assert(core.tree(dir .. "/in"))
  end)

  after_each(function()
    tree:close()
    shell("rm -rf " .. dir)
  end)

  it("refuses paths that are not below it", function()
    for _, path in ipairs({ "", "/a", "a/", "a//b", "..", "../a", "a/..",
      ".", "a/./b", "a\0b", ("n"):rep(256), ("n/"):rep(3000) .. "n" })
    do
      for _, method in ipairs({ "make_dir", "create", "open", "list" }) do
        assert.is_false((pcall(tree[method], tree, path)))
      end
      assert.is_false((pcall(tree.symlink, tree, path, "x")))
      assert.is_false((pcall(tree.link, tree, path, "x")))
      assert.is_false((pcall(tree.link, tree, "x", path)))
      assert.is_false((pcall(tree.set, tree, path, 420, 0)))
    end
  end)

  it("writes nothing through a symbolic link", function()
    assert(tree:symlink("up", "../out"))
    for _, call in ipairs({
      { "make_dir", "up" }, { "make_dir", "up/a" }, { "create", "up/a" },
      { "symlink", "up/a", "x" }, { "link", "up/a", "f" }, { "list", "up" },
      { "set", "up", 511, 0 }, { "open", "up" },
    }) do
      local ok, why = tree[call[1]](tree, call[2], call[3], call[4])
      assert.is_nil(ok, call[1])
      assert.are.equal("string", type(why))
    end
    assert.are.equal("", shell("ls " .. dir .. "/out"))
    -- the link itself gives way to a file
    assert(tree:symlink("f", "../out/f"))
    local file = assert(tree:create("f"))
    assert(file:write("mine"))
    assert(file:finish(420, 0))
    assert.are.equal("", shell("ls " .. dir .. "/out"))
    assert.are.equal("mine", shell("cat " .. dir .. "/in/f"))
  end)

  it("keeps what a link cannot take the place of", function()
    shell(("cd %s/in; printf old > f; printf new > n; mkdir d"):format(dir))
    for _, call in ipairs({
      { "link", "f", "none" }, { "link", "f", "d" }, { "link", "d", "n" },
      { "symlink", "f", "" }, { "symlink", "d", "n" },
    }) do
      local ok, why = tree[call[1]](tree, call[2], call[3])
      assert.is_nil(ok, call[3])
      assert.are.equal("string", type(why))
    end
    assert.are.equal("old", shell("cat " .. dir .. "/in/f"))
    assert(tree:link("f", "n"))
    assert(tree:link("f", "n"))
    assert(tree:link("f", "f"))
    assert.are.equal("new", shell("cat " .. dir .. "/in/f"))
    assert(tree:symlink("f", "n"))
    assert.are.equal("n", shell(("readlink -n %s/in/f"):format(dir)))
    assert.are.equal("d\nf\nn\n", shell(("ls -A %s/in"):format(dir)))
  end)

  it("reads regular files only, and never waits for a pipe", function()
    shell("mkfifo " .. dir .. "/in/p; ln -s /etc/passwd " .. dir .. "/in/l")
    for _, name in ipairs({ "p", "l", "none" }) do
      assert.is_nil((tree:open(name)))
    end
  end)

  it("tells what is in a directory", function()
    shell(("cd %s/in; printf abc > f; ln f g; ln -s f l; mkdir d; chmod 700 d;"
      .. " touch -d @77 d; mkfifo p"):format(dir))
    local by_name = {}
    for _, entry in ipairs(assert(tree:list())) do
      by_name[entry.name] = entry
    end
    assert.are.equal(3, by_name.f.size)
    assert.are.equal(by_name.f.inode, by_name.g.inode)
    assert.are.equal("string", type(by_name.f.inode))
    assert.are.equal("f", by_name.l.target)
    assert.are.same({ "directory", 448, 77 },
      { by_name.d.type, by_name.d.mode, by_name.d.mtime })
    assert.are.equal("other", by_name.p.type)
    assert.are.same({}, (tree:list("d")))
  end)

  it("is of no more use once it is closed", function()
    local file = assert(tree:create("f"))
    assert.is_true(file:close())
    assert.is_true(file:close())
    assert.is_false((pcall(file.write, file, "x")))
    tree:close()
    assert.is_false((pcall(tree.list, tree)))
    assert.is_false((pcall(tree.list, file)))
  end)
end)

describe("a SHA-256", function()
  it("is what everybody else's is, in pieces too", function()
    local hash = core.sha256()
    assert.are.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b"
      .. "7852b855", core.sha256():hex())
    hash:update("a")
    hash:update("")
    hash:update("bc")
    assert.are.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
      .. "f20015ad", hash:hex())
    assert.is_false((pcall(hash.update, hash, "x")))
    assert.is_false((pcall(hash.hex, hash)))
  end)
end)
