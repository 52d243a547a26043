-- Symbolic links: which calls act on the link and which follow it, in every form
-- of a path, also on servers that first resolve the links of a relative path.

local generations = require("spec.support.generations")
local json = require("cjson")
local peer = require("spec.support.peer")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

describe("the path that a server is given", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function files_of()
    p = peer.serving([[
      if req.path:find("list") then
        c:respond(200, '{"entries":[]}')
      elseif req.path:find("files/read") then
        c:respond(200, "x")
      elseif req.path:find("mkdir") then
        c:respond(200, '{"entry":{"name":"x","path":"/x",'
          .. '"type":"directory"}}')
      elseif req.path:find("files/") then
        c:respond(204)
      end
    ]])
    return p:capsule().files
  end

  local function sent()
    local received = p:received()
    local last = received[#received]
    return last:match('name="path"\r\n\r\n(.-)\r\n%-%-')
      or json.decode(last:match("\r\n\r\n(.*)$")).path
  end

  -- {given, sent, sent for remove}
  local paths = {
    { "lnk", "~/lnk" }, { "ln/m", "~/ln/m" }, { "~/ln/m", "~/ln/m" },
    { "/r/ln/m", "/r/ln/m" }, { "./lnk", "~/lnk" }, { "a/./b//c", "~/a/b/c" },
    { "a/../lnk", "~/a/../lnk" }, { "~", "~" }, { "~/", "~" }, { ".", "~" },
    { "./~", "~/~" }, { "./~bob", "~/~bob" }, { "/", "/" }, { "//x", "/x" },
    { "lnk/", "~/lnk/", "~/lnk" }, { "/r/lnk//", "/r/lnk/", "/r/lnk" },
    { "lnk/.", "~/lnk/", "~/lnk" }, { "/./", "/" }, { "..", "~/.." },
    { "lnk/./", "~/lnk/", "~/lnk" },
  }
  for _, case in ipairs(paths) do
    it("is never relative: " .. case[1], function()
      local files = files_of()
      files:list(case[1])
      assert.are.equal(case[2], sent())
      files:read(case[1])
      assert.are.equal(case[2], sent())
      files:make_dir(case[1])
      assert.are.equal(case[2], sent())
      files:write(case[1], "x")
      assert.are.equal(case[2], sent())
      files:upload_stream(case[1], "x")
      assert.are.equal(case[2], sent())
      files:remove(case[1])
      assert.are.equal(case[3] or case[2], sent())
    end)
  end

  it("is none in another user's home", function()
    local files = files_of()
    for _, name in ipairs({ "read", "list", "write", "remove", "make_dir",
      "upload_stream", "download_stream", "stat", "exists" })
    do
      local result, err = files[name](files, "~bob/x",
        name ~= "list" and "data" or nil)
      assert.is_nil(result)
      assert.are.equal("ValidationError", err.type)
    end
    assert.are.equal(1, #p:received())
  end)
end)

generations.each(function(g)
  describe("links in a " .. g.name, function()
    local s, capsule, files, home

    setup(function()
      s = generations.start(g)
      capsule = assert(Capsule.create(s:options({ wait = true })))
      files = capsule.files
      home = walls.home(capsule)
    end)

    teardown(function()
      s:stop()
    end)

    local function sh(line)
      return assert(capsule.commands:run(line, { check = true })).stdout
    end

    before_each(function()
      sh("rm -rf ln t lf ld; mkdir -p ln/d t/sub; echo x > t/f;"
        .. " ln -s ../t/f ln/lf; ln -s ../t ln/ld; ln -s t/f lf; ln -s t ld;"
        .. " ln -s none ln/broken; ln -s .. ln/d/up")
    end)

    -- What there was, without what is asked for.
    local function targets_stay()
      assert.are.equal("x\n", sh("cat t/f"))
      assert.are.equal("f\nsub\n", sh("ls t"))
    end

    for _, path in ipairs({ "lf", "ld", "ln/lf", "ln/ld", "~/lf", "~/ln/ld",
      "ln/d/up/lf", "ln/d/../lf", "./ld", "ld/", "ln/ld//", "ld/.",
      "ln/broken", "/HOME/lf", "/HOME/ln/ld/", "/HOME/ln/d/up/ld" })
    do
      it("are removed themselves: " .. path, function()
        local full = path:gsub("^/HOME", home)
        local bare = full:gsub("/+%.?$", "")
        assert.is_true(files:exists(bare))
        assert.is_true(files:remove(full))
        assert.is_false(files:exists(bare))
        targets_stay()
      end)
    end

    it("are renamed themselves, and replaced", function()
      assert.is_true(files:rename("ln/lf", "ln/m"))
      assert.are.equal("../t/f\n", sh("readlink ln/m"))
      assert.is_true(files:rename("~/ln/d/up/ld", "ln/m"))
      assert.are.equal("../t\n", sh("readlink ln/m"))
      sh("echo new > ln/new")
      assert.is_true(files:rename("ln/new", "lf"))
      assert.are.equal("new\n", sh("[ -L lf ] || cat lf"))
      targets_stay()
    end)

    it("are copied themselves; a file goes through one", function()
      assert.is_true(files:copy("ln/lf", "ln/copy"))
      assert.are.equal("../t/f\n", sh("readlink ln/copy"))
      sh("echo new > ln/new")
      assert.is_true(files:copy("ln/new", "lf"))
      assert.are.equal("t/f\nnew\n", sh("readlink lf; cat t/f"))
    end)

    it("have an entry of their own", function()
      local entry = assert(files:stat("ln/d/up/lf"))
      assert.are.same({ "lf", "file", "L", 6, home .. "/t/f" },
        { entry.name, entry.type, entry.permissions:sub(1, 1), entry.size,
          entry.symlink_target })
      assert.are.equal("directory", assert(files:stat("ld")).type)
      assert.are.equal("unknown", assert(files:stat("ln/broken")).type)
      assert.is_true(files:exists("ln/broken"))
    end)

    it("are read, written and given rights through", function()
      for _, path in ipairs({ "lf", "ln/lf", "~/ln/lf", "ld/f",
        "ln/d/up/ld/f", home .. "/ln/ld/f" })
      do
        assert.is_true(files:write(path, path))
        assert.are.equal(path, files:read(path))
        assert.are.equal(path, sh("cat t/f"))
        assert.is_true(files:upload_stream(path, "x" .. path))
        local pieces = {}
        for piece in assert(files:download_stream(path)) do
          pieces[#pieces + 1] = piece
        end
        assert.are.equal("x" .. path, table.concat(pieces))
        assert.is_true(files:chmod(path, "600"))
        assert.are.equal("600\n", sh("stat -c %a t/f; chmod 644 t/f"))
      end
      assert.are.equal("../t/f\nt/f\n", sh("readlink ln/lf lf"))
      assert.is_true(files:write("ln/broken", "made"))
      assert.are.equal("made", sh("cat ln/none"))
      assert.are.equal("directory", assert(files:make_dir("ld")).type)
    end)

    it("are listed through: the paths are those that were asked for",
      function()
        for path, prefix in pairs({ ["ld"] = home .. "/ld",
          ["ln/ld"] = home .. "/ln/ld", ["~/ln/ld/"] = home .. "/ln/ld",
          [home .. "/ld"] = home .. "/ld", ["t"] = home .. "/t" })
        do
          local found = {}
          for _, entry in ipairs(assert(files:list(path))) do
            found[#found + 1] = entry.path:gsub("//+", "/")
          end
          table.sort(found)
          assert.are.same({ prefix .. "/f", prefix .. "/sub" }, found)
        end
      end)
  end)
end)
