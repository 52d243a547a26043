-- capsule.files:watch, with inotifywait and without.

local changes = require("wrenn.files.watch_decoder")
local core = require("wrenn.core")
local expect = require("spec.support.expect")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local watches = require("wrenn.files.watch")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

local function brief(event)
  return event.type .. " " .. event.path .. (event.directory and "/" or "")
end

local function briefs(events)
  local list = {}
  for i, event in ipairs(events) do
    list[i] = brief(event)
  end
  return list
end

describe("what the helper prints", function()
  -- Feeds text, cut into pieces of each size in turn.
  local function decode(text, root, arg)
    local first
    for _, step in ipairs({ #text, 1, 3, 10 }) do
      local decoder = changes.decoder(root or "w", arg or "./w", "T")
      for at = 1, #text, step do
        decoder:feed(text:sub(at, at + step - 1))
      end
      local list = briefs(decoder.events)
      first = first or list
      assert.are.same(first, list)
    end
    return first
  end

  it("becomes events, by inotifywait", function()
    assert.are.same({ "create w/a", "write w/a", "chmod w/a", "rename w/a",
      "create w/b", "create w/d/", "remove w/b" }, decode([[
CREATE ./w/a/T$
MODIFY ./w/a/T$
MODIFY ./w/a/T$
ATTRIB ./w/a/T$
MOVED_FROM ./w/a/T$
MOVED_TO ./w/b/T$
CREATE,ISDIR ./w/d/T$
DELETE_SELF ./w/d/T$
UNKNOWN ./w/x/T$
DELETE ./w/b/T$
]]))
  end)

  it("may have cookies, and tells of too much", function()
    assert.are.same({ "rename w/a/", "create w/b/", "overflow w",
      "write w/a:c" }, decode([[
1f:MOVED_FROM,ISDIR ./w/a/T$
1f:MOVED_TO,ISDIR ./w/b/T$
0:Q_OVERFLOW /T$
%c:MODIFY ./w/a:c/T$
]]))
  end)

  it("tells once what is listed and reported", function()
    assert.are.same({ "create w/d/", "create w/d/x", "create w/d/y",
      "remove w/d/x", "create w/d/x", "rename w/d/y", "create w/d/x",
      "create w/d/x" }, decode([[
0:CREATE,ISDIR ./w/d/T$
new
CREATE ./w/d/x/T$
0:CREATE ./w/d/x/T$
0:CREATE ./w/d/y/T$
0:DELETE ./w/d/x/T$
0:CREATE ./w/d/x/T$
1:MOVED_FROM ./w/d/y/T$
1:MOVED_TO ./w/d/x/T$
CREATE ./w/d/x/T$
known
0:CREATE ./w/d/x/T$
]]))
  end)

  it("is about one file, by its name", function()
    assert.are.same({ "write w", "remove w", "create w", "rename w" }, decode([[
single
0:MODIFY ./w/T$
0:CREATE ./ww/T$
0:DELETE ./w/T$
1:MOVED_TO ./w/T$
2:MOVED_FROM ./w/T$
gone
]]))
  end)

  it("may hold names with any bytes", function()
    assert.are.same({ "create w/\195\164 \\303 \t$", "create w/line\nend\n",
      "create w/\255" }, decode("CREATE ./w/\\303\\244 \\\\303 \\t$/T$\n"
        .. "CREATE ./w/line$\nend$\n/T$\nCREATE ./w/\\377/T$\n"))
  end)

  it("tells of the end of what is watched", function()
    for _, text in ipairs({ "DELETE_SELF ./w//T$\nCREATE ./w/x/T$\n",
      "MOVE_SELF ./w/T$\n", "gone\n" }) do
      local decoder = changes.decoder("w", "./w", "T")
      decoder:feed(text)
      assert.is_true(decoder.gone)
      assert.are.same({ "remove w" }, briefs(decoder.events))
    end
  end)

  it("may be about '/'", function()
    assert.are.same({ "create /a" }, decode("CREATE /a/T$\n", "/", "/"))
    assert.are.same({ "create ~/a" }, decode("CREATE ./a/T$\n", "~/", "."))
  end)

  it("becomes events, by two looks", function()
    assert.are.same({ "create w/new", "chmod w/d/", "write w/f", "chmod w/f" },
      decode([[
1 f 644 3 1.5 f$
	1 f 600 4 2.5 f$
2 d 755 - - d$
	2 d 700 - - d$
	3 f 644 0 1.1 new$
.
]]))
    assert.are.same({ "remove w/d/f", "remove w/d/", "create w/x" }, decode(
      "1 d 755 - - d$\n2 f 644 0 1.1 d/f$\n\t\n.\n"
      .. "\t1 f 644 0 1.1 x$\n.\n"))
  end)

  it("knows what only moved, by two looks", function()
    assert.are.same({ "rename w/a", "create w/b", "rename w/d/",
      "create w/e/" }, decode([[
1 f 644 3 1.5 a$
	1 f 644 3 1.5 b$
2 d 755 - - d$
	2 d 755 - - e$
3 f 644 0 1.1 d/f$
	3 f 644 0 1.1 e/f$
.
]]))
    -- an inode used again is another file
    assert.are.same({ "remove w/a", "create w/b" }, decode([[
1 f 644 3 1.5 a$
	1 f 644 9 2.5 b$
.
]]))
    -- another file in the same place
    assert.are.same({ "remove w/a", "create w/a" }, decode([[
1 f 644 3 1.5 a$
	2 f 644 3 1.5 a$
.
]]))
  end)

  it("may be anything", function()
    math.randomseed(5)
    local words = { "CREATE ./w/a/T$\n", "1 f 644 3 1.5 a$\n", "\t", ".\n",
      "\\", "\\303", "$\n", "gone", "MOVED_FROM ", "/T", "\255", "\n" }
    for _ = 1, 2000 do
      local decoder = changes.decoder("w", "./w", "T")
      for _ = 1, math.random(12) do
        decoder:feed(words[math.random(#words)])
      end
      for _, event in ipairs(decoder.events) do
        assert.are.equal("w", event.path:sub(1, 1))
      end
    end
  end)

  it("does not trip over what it does not know", function()
    assert.are.same({}, decode("\n\\$\nwhat$\n/T$\n\t\n. \n1 f$\n"))
    assert.are.same({ "create w/\\999" }, decode("CREATE ./w/\\999/T$\n"))
  end)
end)

describe("a watch", function()
  local s, capsule, files, home

  setup(function()
    s = server.start()
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

  -- Reads until the event, or for 60 s; returns what came before it, too.
  local function read_to(watch, wanted)
    local seen = {}
    local found, err = wrenn.task.with_timeout(60, function()
      while true do
        local event, why = watch:read()
        if not event then
          return nil, why
        end
        seen[#seen + 1] = brief(event)
        if seen[#seen] == wanted then
          return true
        end
      end
    end)
    assert.is_true(found, ("%s: %s after %s"):format(wanted, tostring(err),
      table.concat(seen, ", ")))
    return seen
  end

  -- Waits until no helper of this capsule is left.
  local function no_helper()
    return expect.soon(function()
      return sh('grep -lz "^WRENN_SANDBOX_ID=$WRENN_SANDBOX_ID$"'
        .. " /proc/[0-9]*/environ 2>/dev/null | while read -r f; do"
        .. " cat ${f%environ}comm 2>/dev/null; done"
        .. " | grep -c -E '^(inotifywait|find|sed)$' || :") == "0\n"
        and #assert(capsule.commands:list()) == 0
    end)
  end

  for _, way in ipairs({ "notify", "poll" }) do
    describe("(" .. way .. ")", function()
      local function open(path, recursive)
        return assert(watches.open(files, path, recursive, way))
      end

      it("tells what happens in a directory, and only there", function()
        sh("rm -rf w; mkdir -p w/sub w/old; echo > w/old/f")
        local watch = open("w")
        sh("echo > w/sub/unseen; echo 1 > 'w/ä b'")
        read_to(watch, "create w/ä b")
        sh("echo 2 >> 'w/ä b'")
        read_to(watch, "write w/ä b")
        sh("chmod 600 'w/ä b'")
        read_to(watch, "chmod w/ä b")
        sh("mv 'w/ä b' 'w/-c'")
        assert.are.equal("rename w/ä b", (read_to(watch, "create w/-c"))[1])
        sh("mkdir w/dir")
        read_to(watch, "create w/dir/")
        sh("rm w/-c")
        local seen = read_to(watch, "remove w/-c")
        assert.is_nil(table.concat(seen, "\n"):find("unseen", 1, true))
        watch:close()
        assert.is_true(no_helper())
      end)

      it("tells what happens below", function()
        sh("rm -rf w; mkdir -p w/a/b")
        local watch = open(home .. "/w/", true)
        sh("echo > w/a/b/f")
        read_to(watch, "create " .. home .. "/w/a/b/f")
        sh("mkdir w/a/new; sleep 0.3; echo > w/a/new/g")
        read_to(watch, "create " .. home .. "/w/a/new/g")
        sh("rm -r w/a")
        local seen = read_to(watch, "remove " .. home .. "/w/a/")
        assert.is_truthy(table.concat(seen, "\n")
          :find("remove " .. home .. "/w/a/b/f", 1, true))
        watch:close()
        assert.is_true(no_helper())
      end)

      it("ends when what it watches is gone", function()
        sh("mkdir -p w")
        local watch = open("~/w")
        sh("rm -rf w")
        local last
        for event in watch do
          last = event
        end
        assert.are.same({ "remove", "~/w", "w" },
          { last.type, last.path, last.name })
        assert.are.same({}, { watch:read() })
        assert.is_true(no_helper())
      end)

      it("may be of one file", function()
        sh("echo > one")
        local watch = open("one")
        sh("echo more >> one")
        assert.are.same({ "write one" }, read_to(watch, "write one"))
        watch:close()
      end)

      it("of one file goes on when that is replaced, and ends without it",
        function()
          sh("echo > one; echo > other")
          local watch = open("one")
          sh("echo new > two; mv two one; echo > other")
          read_to(watch, "create one")
          sh("echo more >> one")
          read_to(watch, "write one")
          sh("rm one; echo again > one")
          -- By looks it may be the same inode: then it was written.
          assert(wrenn.task.with_timeout(60, function()
            local event
            repeat
              event = assert(watch:read())
            until event.type == "create" or event.type == "write"
            return true
          end))
          sh("chmod 600 one")
          read_to(watch, "chmod one")
          sh("rm one")
          local last
          for event in watch do
            last = event
          end
          assert.are.same({ "remove", "one" }, { last.type, last.path })
          assert.is_true(no_helper())
        end)

      it("ends when another directory is in the place", function()
        sh("rm -rf w v; mkdir w v")
        local watch = open("w")
        sh("mv w u; mv v w")
        local last
        for event in watch do
          last = event
        end
        assert.are.same({ "remove", "w" }, { last.type, last.path })
        sh("rm -r u w")
      end)

      -- Reads until all of them have come; each may come once.
      local function read_all(watch, wanted)
        local missing, left, seen = {}, 0, {}
        for _, event in ipairs(wanted) do
          missing[event], left = true, left + 1
        end
        local done, err = wrenn.task.with_timeout(60, function()
          while left > 0 do
            local event = brief(assert(watch:read()))
            seen[#seen + 1] = event
            if missing[event] then
              missing[event], left = false, left - 1
            else
              assert.is_nil(event:find("^create"), event .. " once more")
            end
          end
          return true
        end)
        assert.is_true(done, tostring(err) .. " after "
          .. table.concat(seen, ", "))
      end

      it("tells what is in a tree that is copied or moved there", function()
        sh("rm -rf w t; mkdir w; mkdir -p 't/ä b/c' t/d; echo > 't/ä b/c/f\n';"
          .. " echo > t/d/g; touch \"$(printf 't/ä b/line\\nend')\"")
        local function contents(of)
          return { "create w/" .. of .. "/", "create w/" .. of .. "/ä b/",
            "create w/" .. of .. "/ä b/c/", "create w/" .. of .. "/ä b/c/f\n",
            "create w/" .. of .. "/ä b/line\nend", "create w/" .. of .. "/d/",
            "create w/" .. of .. "/d/g" }
        end
        local watch = open("w", true)
        sh("cp -r t w/copied")
        read_all(watch, contents("copied"))
        sh("mv t w/moved")
        read_all(watch, contents("moved"))
        sh("echo > w/moved/d/later")
        read_all(watch, { "create w/moved/d/later" })
        -- Within the tree it is the move that is told.
        sh("mv w/moved w/again; echo > w/again/d/last")
        read_all(watch, { "rename w/moved/", "create w/again/",
          "create w/again/d/last" })
        watch:close()
        assert.is_true(no_helper())
      end)

      it("keeps odd names whole", function()
        sh("rm -rf w; mkdir w")
        local watch = open("./w")
        for _, name in ipairs({ "line\nend", "back\\slash", "tab\t", "\255\254",
          "/T$" }) do
          name = name:gsub("/", "")
          assert(capsule.commands:run("touch",
            { args = { "w/" .. (name:gsub("\255\254", "bytes")) } }))
          read_to(watch, "create ./w/" .. name:gsub("\255\254", "bytes"))
        end
        sh("touch \"$(printf 'w/\\377\\376')\"")
        read_to(watch, "create ./w/\255\254")
        watch:close()
      end)
    end)
  end

  it("tells when there was too much to tell", function()
    sh("rm -rf w; mkdir w")
    local watch = assert(files:watch("w"))
    -- What passes the events on stands still meanwhile.
    local function each_sed(signal)
      return sh('for f in $(grep -lz "^WRENN_SANDBOX_ID=$WRENN_SANDBOX_ID$"'
        .. " /proc/[0-9]*/environ 2>/dev/null); do p=${f%/environ};"
        .. ' if [ "$(cat $p/comm)" = sed ]; then kill -' .. signal
        .. " ${p#/proc/} && echo done; fi; done")
    end
    expect.soon(function() -- it is there before it is sed
      return each_sed("STOP") ~= ""
    end)
    wrenn.check(capsule.commands:run("cd w; seq"
      .. " $(($(cat /proc/sys/fs/inotify/max_queued_events) / 2 + 4000))"
      .. " | xargs touch", { check = true, timeout = 120 }))
    each_sed("CONT")
    local overflow
    assert(wrenn.task.with_timeout(60, function()
      repeat
        overflow = assert(watch:read())
      until overflow.type == "overflow"
      return true
    end))
    assert.are.equal("w", overflow.path)
    watch:close()
    sh("rm -r w")
    assert.is_true(no_helper())
  end)

  it("of nothing is not found", function()
    for _, path in ipairs({ "none", "/none/x", "-none" }) do
      local watch, err = files:watch(path)
      assert.is_nil(watch)
      assert.is_true(err:is("NotFoundError"))
    end
    local watch, err = files:watch("~bob")
    assert.is_nil(watch)
    assert.is_true(err:is("ValidationError"))
    assert.is_true(no_helper())
  end)

  it("is closed once, and says so", function()
    local watch, none, no, object = files:watch("/tmp", { recursive = true })
    assert.are.same({ nil, nil, watch }, { none, no, object })
    watch:close()
    watch:close()
    local event, err = watch:read()
    assert.is_nil(event)
    assert.is_true(err:is("CancelledError"))
    assert.is_false((pcall(watch)))
    assert.is_true(no_helper())
  end)

  if _VERSION == "Lua 5.4" then
    it("is closed by leaving its scope", function()
      assert(load([[
        local files, sh = ...
        local watch <close> = assert(files:watch("/tmp"))
        sh("touch /tmp/scoped")
        for event in watch do
          break
        end
      ]]))(files, sh)
      assert.is_true(no_helper())
    end)
  end

  -- Reads a watch that tells nothing until a time limit ends the wait.
  local function read_in_vain(watch)
    local begin = core.now()
    local result, err = wrenn.task.with_timeout(0.3, function()
      return watch:read()
    end)
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"))
    assert.is_true(core.now() - begin < 10)
  end

  it("goes on when a wait for it was interrupted, until it is closed",
    function()
      sh("mkdir -p w")
      local watch = assert(files:watch(home .. "/w"))
      read_in_vain(watch)
      sh("echo > w/after")
      assert.are.equal("create " .. home .. "/w/after",
        brief(assert(watch:read())))
      watch:close()
      assert.is_true(no_helper())
    end)

  it("ends its helper when it is dropped", function()
    read_in_vain(assert(files:watch("/tmp")))
    for _ = 1, 2 do
      collectgarbage()
    end
    assert.is_true(no_helper())
  end)

  it("misuse names the argument", function()
    for _, case in ipairs({ { "path" }, { "path", "" },
      { "recursive", "x", { recursive = 1 } }, { "depth", "x", { depth = 1 } },
      { "opts", "x", true },
    }) do
      local ok, err = pcall(files.watch, files, case[2], case[3])
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find("'" .. case[1] .. "'", 1, true))
    end
    assert.is_false((pcall(files.watch, "x", "y")))
  end)

  it("leaves no helper, whenever its opening is given up", function()
    sh("mkdir -p given-up")
    local old, held = #assert(capsule.commands:list()), sh("ls -A /tmp")
    for moment = 1, 40 do
      local watch
      wrenn.task.with_timeout(moment * 0.003, function()
        watch = files:watch("given-up")
      end)
      if watch then
        watch:close()
      end
    end
    expect.soon(function()
      return #assert(capsule.commands:list()) <= old
        and (not walls.up or sh("ls -A /tmp") == held)
    end)
  end)
end)

for _, generation in ipairs({ "0.1", "0.2", "0.3", "0.4" }) do
  it("a watch tells what a tree holds, and ends, on " .. generation, function()
    local s = server.start("--generation " .. generation)
    local capsule = assert(Capsule.create(s:options({ wait = true })))
    assert(capsule.commands:run("mkdir -p w t/d; echo > t/d/f; echo > one"))
    local watch = assert(capsule.files:watch("w", { recursive = true }))
    local file = assert(capsule.files:watch("one"))
    assert(capsule.commands:run("mv t w/; echo > two; mv two one"))
    local function next_create(of)
      return assert(wrenn.task.with_timeout(60, function()
        local event
        repeat
          event = assert(of:read())
        until event.type == "create"
        return event.path
      end))
    end
    assert.are.equal("w/t", next_create(watch))
    assert.are.equal("w/t/d", next_create(watch))
    assert.are.equal("w/t/d/f", next_create(watch))
    assert.are.equal("one", next_create(file))
    watch:close()
    file:close()
    expect.soon(function()
      return #assert(capsule.commands:list()) == 0
    end)
    s:stop()
  end)
end

describe("a watch of a scripted server", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function files_with(script, options)
    p = peer.start([[
      while true do
        local req = c:request()
        if not req then return end
        if req.path:find("exec/stream") then
          c:upgrade(req)
          c:read_frame()
          c:text('{"type":"start","pid":42}')
          ]] .. script .. [[
          return c:close()
        elseif req.method == "DELETE" then
          c:respond(204)
        elseif req.path == "/health" then
          c:respond(200, '{"status":"ok","version":"0.2.0"}')
        else
          c:respond(200, '{"id":"cl-1","status":"running"}')
        end
      end
    ]])
    local client = assert(wrenn.Client(p:options(options)))
    return assert(Capsule.connect("cl-1", { client = client })).files
  end

  local function killed()
    local text = table.concat(p:received(), "\n")
    return text:find("DELETE /v1/capsules/cl-1/processes/42", 1, true) ~= nil
  end

  local ready =
    [[c:text('{"type":"stderr","data":"Watches established.\\n"}')
    ]]

  it("that breaks off raises, and does not end", function()
    local files = files_with(ready .. [[
      c:text('{"type":"stdout","data":"1 f 644 0 1.1 a$\\n.\\n"}')
      c:sleep(0.05)]])
    local watch = assert(files:watch("w"))
    local seen = {}
    local ok, err = pcall(function()
      for event in watch do
        seen[#seen + 1] = brief(event)
      end
    end)
    assert.is_false(ok)
    assert.is_true(err:is("ConnectionError"))
    assert.are.same({ "remove w/a" }, seen)
    assert.are.same({ nil, err }, { watch:read() })
    assert.is_true(killed())
  end)

  it("whose helper fails says why", function()
    local files = files_with([[
      c:text('{"type":"stderr","data":"Failed to watch x; upper limit\\n"}')
      c:text('{"type":"exit","exit_code":1}')]])
    local watch, err = files:watch("x")
    assert.is_nil(watch)
    assert.is_true(err:is("AgentError"))
    assert.is_truthy(err.message:find("upper limit", 1, true))
    assert.is_false(killed())
  end)

  it("whose helper does not come to watch is given up, and killed", function()
    local files = files_with("c:sleep(600)", { timeout = 1 })
    local begin = core.now()
    local watch, err = files:watch("x")
    assert.is_nil(watch)
    assert.is_true(err:is("TimeoutError"))
    assert.is_true(core.now() - begin < 60)
    expect.soon(killed)
  end)

  it("whose helper ends later says so", function()
    local files = files_with(ready
      .. [[c:text('{"type":"exit","exit_code":137}')]])
    local watch = assert(files:watch("x"))
    local event, err = watch:read()
    assert.is_nil(event)
    assert.is_true(err:is("AgentError"))
  end)

  it("of a capsule that does not run is refused", function()
    local files = files_with([[
      c:text('{"type":"error","data":"sandbox is not running"}')]])
    local watch, err = files:watch("x")
    assert.is_nil(watch)
    assert.is_true(err:is("ConflictError"))
  end)
end)
