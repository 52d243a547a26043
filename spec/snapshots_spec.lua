-- Snapshots and templates, with scripted peers and with wrenn-local in every
-- generation.
-- Takes long: begins first.

local expect = require("spec.support.expect")
local generations = require("spec.support.generations")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local http = require("wrenn.wire.http")
local wrenn = require("wrenn")

local decode = require("cjson").decode

-- Two more folders of a capsule; where these are the host's, two below home.
local srv = walls.up and "/srv" or "~/srv"
local tmp = walls.up and "/tmp" or "~"

local function list_of(...)
  local items = {}
  for i, name in ipairs({ ... }) do
    items[i] = ('{"name":"%s","type":"snapshot"}'):format(name)
  end
  return "[" .. table.concat(items, ",") .. "]"
end

local function page(number, pages, ...)
  return { 200, ('{"templates":%s,"total":9,"page":%d,"per_page":2,'
    .. '"total_pages":%d}'):format(list_of(...), number, pages) }
end

local function state(status)
  return { 200, ('{"id":"cl-1","status":"%s"}'):format(status) }
end

local accepted = { 202, '{"id":"cl-1","status":"snapshotting"}' }

describe("snapshots of a scripted server", function()
  local p

  after_each(function()
    p:stop()
  end)

  local function snapshots_of(...)
    p = peer.answering(...)
    return assert(wrenn.Client(p:options())).snapshots
  end

  local function targets()
    local list = {}
    for _, text in ipairs(p:received()) do
      list[#list + 1] = text:match("^(%S+ %S+)")
    end
    return list
  end

  local function body(number)
    return decode(p:received()[number]:match("\r\n\r\n(.*)$"))
  end

  local function names(list)
    local found = {}
    for i, template in ipairs(assert(list)) do
      found[i] = template.name
    end
    return found
  end

  it("are made by a 201 with the template", function()
    local snapshots = snapshots_of({ 201, '{"name":"s1","type":"snapshot",'
      .. '"vcpus":1,"memory_mb":512,"size_bytes":9}' })
    local made = assert(snapshots:create("cl-1", { name = "s1" }))
    assert.are.same({ name = "s1", type = "snapshot", vcpus = 1,
      memory_mb = 512, size_bytes = 9 }, made)
    assert.are.same({ "POST /v1/snapshots" }, targets())
    assert.are.same({ sandbox_id = "cl-1", name = "s1" }, body(1))
  end)

  it("are pending after a 202 with the capsule", function()
    local snapshots = snapshots_of(accepted)
    local made = assert(snapshots:create("cl-1", { name = "s1" }))
    assert.are.same({ "s1", "snapshot", true, "snapshotting" },
      { made.name, made.type, made.pending, made.capsule.status })
    made = assert(snapshots:create("cl-1"))
    assert.is_true(made.pending)
    assert.is_nil(made.name)
    assert.are.same({ sandbox_id = "cl-1" }, body(2))
  end)

  it("are asked to be replaced only with overwrite", function()
    local snapshots = snapshots_of({ 201, '{"name":"s1"}' })
    assert(snapshots:create("cl-1", { name = "s1", overwrite = true }))
    assert(snapshots:create("cl-1", { name = "s1", overwrite = false }))
    assert.are.same({ "POST /v1/snapshots?overwrite=true",
      "POST /v1/snapshots" }, targets())
  end)

  it("are waited for until the template is listed", function()
    local snapshots = snapshots_of(accepted, state("snapshotting"),
      state("running"), { 200, list_of("other") }, { 200, list_of("s1") })
    local made = assert(snapshots:create("cl-1", { name = "s1", wait = true }))
    assert.are.same({ "s1", "snapshot" }, { made.name, made.type })
    local list = targets()
    assert.are.equal(5, #list)
    assert.are.equal("GET /v1/snapshots?q=s1&type=snapshot", list[5])
  end)

  it("get a name on this side to be waited for", function()
    local snapshots = snapshots_of(accepted, state("error"))
    local made, err = snapshots:create("cl-1", { wait = true })
    assert.is_nil(made)
    assert.is_true(err:is("CapsuleStateError"))
    assert.are.equal("error", err.status)
    assert.is_truthy(body(1).name:find("^template%-%x%x%x%x%x%x%x%x$"))
  end)

  it("that fail while the capsule goes on are an error", function()
    local snapshots = snapshots_of(accepted, state("running"), { 200, "[]" })
    local made, err = snapshots:create("cl-1",
      { name = "s1", wait = true, timeout = 60 })
    assert.is_nil(made)
    assert.are.equal("WrennError", err.type)
    assert.is_truthy(err.message:find("'s1' has not been made", 1, true))
  end)

  it("whose capsule stays snapshotting time out", function()
    local snapshots = snapshots_of(accepted, state("snapshotting"))
    local made, err = snapshots:create("cl-1",
      { name = "s1", wait = true, timeout = 0.4 })
    assert.is_nil(made)
    assert.is_true(err:is("TimeoutError"))
  end)

  it("are listed from an array", function()
    local snapshots = snapshots_of({ 200, list_of("a", "b") })
    assert.are.same({ "a", "b" }, names(snapshots:list()))
    assert.are.same({ "b" }, names(snapshots:list({ q = "B" })))
    assert(snapshots:list({ type = "base" }))
    assert.are.same({ "GET /v1/snapshots", "GET /v1/snapshots?q=B",
      "GET /v1/snapshots?type=base" }, targets())
  end)

  it("are listed from all pages, each once", function()
    local snapshots = snapshots_of(page(1, 3, "a1", "a2"),
      page(2, 3, "a2", "a3"), page(3, 3, "a4"))
    assert.are.same({ "a1", "a2", "a3", "a4" },
      names(snapshots:list({ type = "snapshot", q = "a" })))
    assert.are.same({
      "GET /v1/snapshots?q=a&type=snapshot",
      "GET /v1/snapshots?page=2&per_page=2&q=a&type=snapshot",
      "GET /v1/snapshots?page=3&per_page=2&q=a&type=snapshot",
    }, targets())
  end)

  it("are listed without their names, if need be", function()
    local snapshots = snapshots_of({ 200, '[{"type":"base"},{}]' })
    assert.are.same({ { type = "base" }, {} }, assert(snapshots:list()))
    assert.are.same({}, assert(snapshots:list({ q = "x" })))
  end)

  it("are listed from an empty page", function()
    local snapshots = snapshots_of({ 200, '{"templates":null,"total":0,'
      .. '"page":1,"per_page":50,"total_pages":0}' })
    assert.are.same({}, names(snapshots:list()))
  end)

  it("end when the pages run dry", function()
    local snapshots = snapshots_of(page(1, 1000000, "a"), page(2, 1000000))
    assert.are.same({ "a" }, names(snapshots:list()))
  end)

  for _, text in ipairs({ '{"a":1}', '{"templates":5}', "[1]",
    '{"templates":{"a":1}}' })
  do
    it("listed as " .. text .. " are a protocol error", function()
      local list, err = snapshots_of({ 200, text }):list()
      assert.is_nil(list)
      assert.is_true(err:is("ProtocolError"))
    end)
  end

  it("fail with a page that fails", function()
    local snapshots = snapshots_of(page(1, 2, "a"), { 500, "" })
    local list, err = snapshots:list()
    assert.is_nil(list)
    assert.are.equal(500, err.status_code)
  end)

  it("are renamed, published and deleted by escaped names", function()
    local snapshots = snapshots_of({ 204 })
    assert.is_true(snapshots:rename("a/b", "c"))
    assert.is_true(snapshots:set_visibility("a/b", true))
    assert.is_true(snapshots:set_visibility("..", false))
    assert.is_true(snapshots:delete("a?b"))
    assert.are.same({ "PATCH /v1/snapshots/a%2Fb",
      "PATCH /v1/snapshots/a%2Fb/visibility",
      "PATCH /v1/snapshots/%2E%2E/visibility", "DELETE /v1/snapshots/a%3Fb" },
      targets())
    assert.are.same({ new_name = "c" }, body(1))
    assert.are.same({ public = true }, body(2))
    assert.are.same({ public = false }, body(3))
  end)

  it("are not made twice when the answer is lost", function()
    p = peer.start([[ c:request(); c:reset() ]])
    local client = assert(wrenn.Client(p:options()))
    local made, err = client.snapshots:create("cl-1")
    assert.is_nil(made)
    assert.is_true(err:is("ConnectionError"))
    assert.are.equal(1, #p:received())
  end)

  it("refuse misuse", function()
    local snapshots = snapshots_of({ 204 })
    for _, case in ipairs({
      { "'capsule_id'", snapshots.create, snapshots, 5 },
      { "'nmae'", snapshots.create, snapshots, "cl-1", { nmae = "x" } },
      { "'wait'", snapshots.create, snapshots, "cl-1", { wait = 1 } },
      { "'q'", snapshots.list, snapshots, { q = 1 } },
      { "'name'", snapshots.delete, snapshots },
      { "'new_name'", snapshots.rename, snapshots, "a", "" },
      { "'public'", snapshots.set_visibility, snapshots, "a", "yes" },
      { "'self'", snapshots.list, nil },
    }) do
      local ok, why = pcall(case[2], case[3], case[4], case[5])
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find(case[1], 1, true), why)
    end
    assert.are.same({}, targets())
  end)
end)

generations.each(function(g)
  local generation = g.name
  local typed = generation >= "0.3"
  local at_once = generation < "0.2.2"

  describe("snapshots of wrenn-local " .. generation, function()
    local s, client, capsule

    local function new_capsule(opts)
      opts = opts or {}
      opts.client, opts.wait = client, true
      return assert(wrenn.Capsule.create(opts))
    end

    -- What a call that failed says: status and code.
    local function failure(ok, err)
      assert.is_nil(ok)
      return { err.status_code, err.code }
    end

    setup(function()
      s = server.start("--generation " .. generation)
      client = assert(wrenn.Client(s:options()))
      capsule = new_capsule({ vcpus = 3, memory_mb = 700 })
      assert(capsule.commands:run("mkdir -p ~/d " .. srv .. " && echo kept"
        .. " >~/d/f && ln ~/d/f ~/g && ln -s d/f ~/l"
        .. " && chmod 600 ~/d/f && echo top >" .. srv .. "/t"
        .. " && ln -s /etc/hostname " .. tmp .. "/out"))
    end)

    teardown(function()
      s:stop()
    end)

    local function make_running()
      if capsule:get_info().status == "paused" then
        assert(capsule:resume({ wait = true }))
      end
    end

    local function snapshot(name)
      make_running()
      return assert(capsule:create_snapshot({ name = name, wait = true }))
    end

    it("are made, whichever way it answers", function()
      local made = assert(capsule:create_snapshot({ name = "first" }))
      assert.are.equal(not at_once, made.pending or false)
      if made.pending then
        assert.are.equal("snapshotting", made.capsule.status)
        made = expect.soon(function()
          return assert(client.snapshots:list({ q = "first" }))[1]
        end)
      end
      assert.are.same({ "first", "snapshot", 3, 700 },
        { made.name, made.type, made.vcpus, made.memory_mb })
      assert.is_truthy(made.created_at:find("^%d%d%d%d%-"))
      assert.is_true(made.size_bytes > 0)
      assert.are.equal(false, made.platform)
      if generation >= "0.2.2" then
        assert.are.equal(false, made.protected)
      end
      if generation >= "0.4" then
        assert.are.same({ true, false }, { made.owned, made.public })
        assert.is_string(made.team_slug)
      end
      local status = capsule:get_info().status
      assert.are.equal(generation == "0.1" and "paused" or "running", status)
    end)

    it("have the files and the size of their capsule", function()
      snapshot("files")
      local copy = new_capsule({ template = "files", vcpus = 1,
        memory_mb = 64 })
      assert.are.same({ "files", 3, 700 }, { copy.info.template,
        copy.info.vcpus, copy.info.memory_mb })
      local result = assert(copy.commands:run("cat ~/d/f ~/l " .. srv
        .. "/t; stat -c '%a %h' ~/d/f; readlink " .. tmp
        .. "/out; echo $HOME; pwd"))
      assert.are.equal("kept\nkept\ntop\n600 2\n/etc/hostname\n"
        .. (walls.home(copy) .. "\n"):rep(2), result.stdout)
      -- Two copies: a change here is none there.
      assert(copy.files:write("~/d/f", "changed"))
      make_running()
      assert.are.equal("kept\n", capsule.files:read("~/d/f"))
      -- And a copy of the copy.
      assert(copy:create_snapshot({ name = "second", wait = true }))
      local grandchild = new_capsule({ template = "second" })
      assert.are.equal("changed", grandchild.files:read("~/d/f"))
      assert.is_true(client.snapshots:delete("files"))
      assert.are.equal("top\n", grandchild.files:read(srv .. "/t"))
      assert.is_true(grandchild:destroy({ wait = true }))
      assert.is_true(copy:destroy({ wait = true }))
    end)

    it("see no file change while they are made", function()
      make_running()
      local handle = assert(capsule.commands:run("while :; do"
        .. " echo x >>~/a; echo x >>~/b; done", { background = true }))
      assert(capsule.commands:run("until [ -s ~/b ]; do sleep 0.1; done"))
      snapshot("steady")
      local copy = new_capsule({ template = "steady" })
      make_running()
      assert.is_true(handle:kill())
      local result = assert(copy.commands:run("wc -l <~/a; wc -l <~/b"))
      local a, b = result.stdout:match("(%d+)%s+(%d+)")
      assert.is_true(tonumber(a) > 0)
      assert.is_true(tonumber(a) - tonumber(b) <= 1)
      assert.is_true(copy:destroy({ wait = true }))
      assert(capsule.commands:run("rm -f ~/a ~/b"))
    end)

    it("of a paused capsule leave it paused", function()
      make_running()
      assert(capsule:pause({ wait = true }))
      assert(capsule:create_snapshot({ name = "paused", wait = true }))
      assert.are.equal("paused", capsule:get_info().status)
      make_running()
      assert.are.equal("kept\n", capsule.files:read("~/d/f"))
    end)

    it("have names of their own", function()
      snapshot("taken")
      make_running()
      local code = typed and "conflict" or "template_name_taken"
      for _, overwrite in ipairs({ false, true }) do
        assert.are.same({ 409, code }, failure(capsule:create_snapshot(
          { name = "taken", overwrite = overwrite })))
      end
      for _, name in ipairs({ "minimal", "minimal-ubuntu",
        "code-runner-beta" })
      do
        assert.are.same({ 409, typed and "conflict" or "name_reserved" },
          failure(capsule:create_snapshot({ name = name })))
      end
      for _, name in ipairs({ "../x", "-x", "a b", ("x"):rep(65) }) do
        assert.are.same({ 400, "invalid_request" },
          failure(capsule:create_snapshot({ name = name })))
      end
      local before = #assert(client.snapshots:list())
      make_running()
      assert(capsule:create_snapshot())
      local list = expect.soon(function()
        local all = assert(client.snapshots:list({ type = "snapshot" }))
        return #all + 3 > before and all
      end)
      assert.is_truthy(list[1].name:find("^template%-%x%x%x%x%x%x%x%x$"))
    end)

    it("need a capsule that is there", function()
      make_running()
      local gone = new_capsule()
      assert.is_true(gone:destroy({ wait = true }))
      local _, err = gone:create_snapshot({ name = "x" })
      assert.are.same({ 409, typed and "conflict" or "invalid_state",
        typed and "stopped" or nil }, { err.status_code, err.code,
        err.status })
      assert.are.same({ 404, typed and "sandbox_not_found" or "not_found" },
        failure(client.snapshots:create("cl-" .. ("0"):rep(25))))
      assert.are.same({ 400, "invalid_request" },
        failure(client.snapshots:create("sb-1")))
      assert.are.same({ 400, typed and "validation_failed"
        or "invalid_request" }, failure(http.call(client,
        { method = "POST", path = "/v1/snapshots", json = { name = "x" } })))
      -- The name is looked at first.
      snapshot("early")
      assert.are.equal(409, failure(client.snapshots:create(
        "cl-" .. ("0"):rep(25), { name = "early" }))[1])
    end)

    it("are listed newest first, before the platform's", function()
      snapshot("listed")
      local list = assert(client.snapshots:list())
      local found = {}
      for _, template in ipairs(list) do
        found[template.name] = template.type
      end
      assert.are.same({ "snapshot", "base", "base", "base" },
        { found.listed, found.minimal, found["minimal-ubuntu"],
          found["code-runner-beta"] })
      assert.are.same({}, (client.snapshots:list({ type = "other" })))
      for _, template in
        ipairs(assert(client.snapshots:list({ type = "base" })))
      do
        assert.are.equal("base", template.type)
        assert.is_true(template.platform)
      end
      assert.are.equal("listed",
        assert(client.snapshots:list({ q = "LISTE" }))[1].name)
    end)

    it("are deleted once; the platform's are not", function()
      snapshot("doomed")
      assert.is_true(client.snapshots:delete("doomed"))
      assert.are.same({ 404, typed and "template_not_found" or "not_found" },
        failure(client.snapshots:delete("doomed")))
      assert.are.same({ 403, typed and "template_protected" or "forbidden" },
        failure(client.snapshots:delete("minimal")))
      assert.are.equal(400, failure(client.snapshots:delete("a b"))[1])
      local made, err = wrenn.Capsule.create({ client = client,
        template = "doomed" })
      assert.is_nil(made)
      assert.are.equal(404, err.status_code)
    end)

    it("are renamed and published from 0.4 on", function()
      snapshot("old")
      local snapshots = client.snapshots
      if generation < "0.4" then
        assert.are.equal(405, failure(snapshots:rename("old", "new"))[1])
        assert.are.equal(404, failure(snapshots:set_visibility("old",
          true))[1])
        return
      end
      snapshot("other")
      assert.is_true(snapshots:set_visibility("old", true))
      assert.is_true(snapshots:list({ q = "old" })[1].public)
      assert.are.equal(409, failure(snapshots:rename("old", "other"))[1])
      assert.are.equal(400, failure(snapshots:rename("old", "a b"))[1])
      assert.are.equal(403, failure(snapshots:rename("minimal", "new"))[1])
      assert.are.equal(404, failure(snapshots:rename("nix", "new"))[1])
      assert.are.equal(404, failure(snapshots:set_visibility("minimal",
        true))[1])
      assert.is_true(snapshots:rename("old", "new"))
      local renamed = assert(snapshots:list({ q = "new" }))[1]
      assert.are.same({ "new", false }, { renamed.name, renamed.public })
      local copy = new_capsule({ template = renamed.team_slug .. "/new" })
      assert.are.equal("kept\n", copy.files:read("~/d/f"))
      assert.is_true(copy:destroy())
      for _, reference in ipairs({ "wrenn/new", "others/new", "old" }) do
        local made, err = wrenn.Capsule.create({ client = client,
          template = reference })
        assert.is_nil(made)
        assert.are.equal(404, err.status_code)
      end
      for _, reference in ipairs({ "/new", "a/b/c", "wrenn/", "a b/new",
        ("x"):rep(65) .. "/new" })
      do
        local made, err = wrenn.Capsule.create({ client = client,
          template = reference })
        assert.is_nil(made)
        assert.are.equal(400, err.status_code)
      end
      assert.is_true(new_capsule({ template = "wrenn/minimal" }):destroy())
    end)

    it("come in pages from 0.4 on", function()
      local function get(query)
        return assert(http.call(client,
          { method = "GET", path = "/v1/snapshots", query = query }))
      end
      if generation < "0.4" then
        assert.is_table(get()[1])
        return
      end
      local all = get()
      assert.are.same({ 1, 50, 1 }, { all.page, all.per_page,
        all.total_pages })
      assert.are.equal(all.total, #all.templates)
      local second = get({ per_page = 2, page = 2 })
      assert.are.same({ 2, 2, math.ceil(all.total / 2) },
        { second.page, second.per_page, second.total_pages })
      assert.are.equal(all.templates[3].name, second.templates[1].name)
      assert.are.same({}, get({ page = 1000 }).templates)
      assert.are.equal(3, get({ q = "WRENN" }).total)
    end)

    it("survive the destruction of what they are made of", function()
      local source = new_capsule()
      assert(source.files:write("~/big", ("x"):rep(4 * 1024 * 1024)))
      local making = wrenn.task.spawn(function()
        return source:create_snapshot({ name = "raced", wait = true })
      end)
      wrenn.task.sleep(0)
      assert.is_true(source:destroy({ wait = true }))
      making:wait() -- made or not
      assert.are.equal(200, (select(2, http.call(client,
        { method = "GET", path = "/v1/snapshots" })).status))
    end)
  end)
end)
