-- capsule.git against a real git. Its command lines are in git_words_spec.lua,
-- credentials in git_auth_spec.lua.
-- Not sanitized: it is made of commands and files, which are.

local git_host = require("spec.support.git_host")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

describe("git in a capsule", function()
  local s, capsule, git, number

  setup(function()
    s = server.start()
    capsule = assert(Capsule.create(s:options({ wait = true })))
    git = capsule.git
    assert(git:configure_user("Ann", "ann@x"))
  end)

  teardown(function()
    s:stop()
  end)

  number = 0

  local function sh(dir, script)
    return assert(capsule.commands:run(script,
      { cwd = "~/" .. dir, check = true })).stdout
  end

  -- A repository of its own, with one commit of the file "f".
  local function repository()
    number = number + 1
    local dir = "r" .. number
    assert(git:init(dir, { initial_branch = "main" }))
    sh(dir, "echo one >f; git add .; git commit -qm one")
    return dir
  end

  local function status(dir)
    return assert(git:status({ cwd = dir }))
  end

  it("makes a repository and commits", function()
    assert(git:init("first", { initial_branch = "main" }))
    assert.is_true(capsule.files:exists("first/.git"))
    local now = status("first")
    assert.are.same({ "main", nil, true, false },
      { now.branch, now.commit, now.is_clean, now.detached })
    assert.are.same({}, (git:log({ cwd = "first" })))
    assert.are.same({}, (git:branches({ cwd = "first" })))

    assert(capsule.files:write("first/a b.txt", "x\n"))
    now = status("first")
    assert.are.same({ { path = "a b.txt", index_status = "?",
      work_tree_status = "?", staged = false, status = "untracked" } },
      now.files)
    assert.are.same({ false, true, false },
      { now.is_clean, now.has_untracked, now.has_staged })

    assert(git:add({ all = true, cwd = "first" }))
    now = status("first")
    assert.are.same({ "A", " ", true, "added" }, { now.files[1].index_status,
      now.files[1].work_tree_status, now.files[1].staged,
      now.files[1].status })
    assert.is_true(now.has_staged)
    local result = assert(git:commit("say 'it'", { cwd = "first" }))
    assert.are.equal(0, result.exit_code)
    assert.is_true(status("first").is_clean)
    local none, err = git:commit("again", { cwd = "first" })
    assert.is_nil(none)
    assert.is_true(err:is("GitCommandError"))
    assert.are.equal(1, err.exit_code)
    assert.is_truthy(err.message:find("nothing to commit", 1, true))
  end)

  it("has branches", function()
    local dir = repository()
    local here = { cwd = dir }
    local function names()
      local list = {}
      for i, branch in ipairs(assert(git:branches(here))) do
        list[i] = branch.name .. (branch.is_current and "*" or "")
      end
      return table.concat(list, " ")
    end
    assert(git:create_branch("HEAD-fix", here))
    assert.are.equal("HEAD-fix* main", names())
    assert.are.same({ "HEAD-fix", false },
      { status(dir).branch, status(dir).detached })
    assert(git:create_branch("dev", { start_point = "main", cwd = dir }))
    sh(dir, "git tag main; git commit -q --allow-empty -m two")
    assert.are.equal("HEAD-fix dev* main", names())
    assert(git:checkout_branch("main", here))
    local ok, err = git:delete_branch("dev", here)
    assert.is_nil(ok)
    assert.is_true(err:is("GitCommandError"))
    assert(git:delete_branch("dev", { cwd = dir, force = true }))
    assert(git:delete_branch("HEAD-fix", here))
    assert.are.equal("main*", names())
    -- the name of a file is not the name of a branch
    sh(dir, "echo changed >f")
    ok, err = git:checkout_branch("f", here)
    assert.is_nil(ok)
    assert.is_true(err:is("GitError"))
    assert.are.equal("changed\n", sh(dir, "cat f"))
  end)

  it("tells a detached head", function()
    local dir = repository()
    sh(dir, "git checkout -q --detach")
    local now = status(dir)
    assert.is_true(now.detached)
    assert.are.equal(sh(dir, "git rev-parse HEAD"), now.commit .. "\n")
    assert.are.equal(now.commit:sub(1, 7), now.branch)
    assert.are.same({ { name = "main", is_current = false } },
      (git:branches({ cwd = dir })))
  end)

  it("counts what an upstream has and has not", function()
    local from = repository()
    assert(git:clone(walls.home(capsule) .. "/" .. from, "copy" .. from))
    local dir = "copy" .. from
    assert.is_truthy(assert(git:remote_get("origin", { cwd = dir }))
      :find(from, 1, true))
    sh(from, "git commit -q --allow-empty -m theirs")
    sh(dir, "for i in 1 2 3; do git commit -q --allow-empty -m ours$i; done")
    assert(git:fetch({ cwd = dir }))
    local now = status(dir)
    assert.are.same({ "main", "origin/main", 3, 1, true },
      { now.branch, now.upstream, now.ahead, now.behind, now.is_clean })
    sh(dir, "git update-ref -d refs/remotes/origin/main")
    now = status(dir)
    assert.are.same({ "origin/main", 0, 0 },
      { now.upstream, now.ahead, now.behind })
  end)

  it("tells each kind of change, whatever the name", function()
    local dir = repository()
    sh(dir, [[printf '%s\n' 1 2 3 4 >'a -> b.txt'; echo x >mode
      printf x >"$(printf 'new\nline')"; echo x >'"quoted"'; echo x >gone
      echo x >"$(printf 'bytes\377')"; ln -s f link
      git add .; git commit -qm all
      git mv 'a -> b.txt' 'c -> d'; rm gone; echo more >>f; git add f
      echo more >>f; echo x >"$(printf 'new\nline')"; echo y >>'"quoted"'
      echo y >>"$(printf 'bytes\377')"; rm link; echo x >link
      git rm -q mode; echo x >'?? no'; mkdir d; echo 1 >d/e]])
    local found = {}
    for _, file in ipairs(status(dir).files) do
      found[file.path] = { file.index_status .. file.work_tree_status,
        file.status, file.staged, file.renamed_from }
    end
    assert.are.same({
      ["c -> d"] = { "R ", "renamed", true, "a -> b.txt" },
      gone = { " D", "deleted", false },
      f = { "MM", "modified", true },
      ["new\nline"] = { " M", "modified", false },
      ['"quoted"'] = { " M", "modified", false },
      ["bytes\255"] = { " M", "modified", false },
      link = { " T", "typechange", false },
      mode = { "D ", "deleted", true },
      ["?? no"] = { "??", "untracked", false },
      ["d/"] = { "??", "untracked", false },
    }, found)
    -- the same from below: paths are the repository's
    assert.are.equal(10, #status(dir .. "/d").files)
    assert.are.same({ "f", "new\nline" }, (git:diff({ cwd = dir,
      name_only = true, paths = { "f", "new\nline" } })))
  end)

  it("takes words that are no text", function()
    local dir = repository()
    local here = { cwd = dir }
    local name = "\255 \\0101'%\n x"
    sh(dir, [[echo x >"$(printf '\377 \\0101\047%%\n x')"]])
    assert(git:add({ "f", name }, here))
    assert.are.same({ name, "added" },
      { status(dir).files[1].path, status(dir).files[1].status })
    assert(git:commit("caf\233", here)) -- git takes it for Latin-1
    assert.are.equal("café", assert(git:log(here))[1].subject)
    assert(git:set_config("a.b", "\255\n\n", here))
    assert.are.equal("\255\n\n", (git:get_config("a.b", here)))
  end)

  it("tells a copy", function()
    local dir = repository()
    sh(dir, "seq 50 >c; git add c; git commit -qm c; cp c copy; echo 51 >>c"
      .. "; git add .; git config status.renames copies")
    local file = status(dir).files[2]
    assert.are.same({ "copy", "C", "c", "copied" }, { file.path,
      file.index_status, file.renamed_from, file.status })
  end)

  it("tells every kind of conflict", function()
    local dir = repository()
    sh(dir, [[
      blob=$(git hash-object -w f)
      for path in 1:DD 2:AU 13:DU 3:UA 12:UD 23:AA 123:UU; do
        for stage in $(echo "${path%:*}" | sed 's/./& /g'); do
          printf '100644 %s %s\t%s\n' "$blob" "$stage" "${path#*:}"
        done
      done | git update-index --index-info]])
    local now, count = status(dir), 0
    for _, file in ipairs(now.files) do
      if file.path:find("^[ADU][ADU]$") then
        count = count + 1
        assert.are.same({ file.path, "conflict", false }, {
          file.index_status .. file.work_tree_status, file.status,
          file.staged })
      end
    end
    assert.are.equal(7, count)
    assert.is_true(now.has_conflicts)
  end)

  it("keeps a configuration", function()
    local dir = repository()
    local here = { cwd = dir }
    assert(git:set_config("a.b", "-x y\n'z'\n", here))
    assert.are.equal("-x y\n'z'\n", (git:get_config("a.b", here)))
    assert.are.equal(2, select("#", git:get_config("a.c", here)))
    local value, err = git:get_config("a.c", here)
    assert.are.same({}, { value, err })
    value, err = git:get_config("nonsense", here)
    assert.is_nil(value)
    assert.is_true(err:is("GitCommandError"))
    value, err = git:get_config("a.b")
    assert.is_nil(value)
    assert.is_true(err:is("GitError"))
    assert.are.equal("Ann", (git:get_config("user.name", { scope = "global" })))
    assert(git:configure_user("Bob", "b@x", { scope = "local", cwd = dir }))
    assert.are.equal("b@x", (git:get_config("user.email", here)))
  end)

  it("has remotes", function()
    local dir = repository()
    local here = { cwd = dir }
    assert.are.same({}, { git:remote_get("up", here) })
    assert(git:remote_add("up", "https://h/r", here))
    assert.are.equal("https://h/r", (git:remote_get("up", here)))
    local url, err = git:remote_get("up", { cwd = "/tmp" })
    assert.is_nil(url)
    assert.is_true(err:is("GitCommandError"))
  end)

  it("undoes changes", function()
    local dir = repository()
    local here = { cwd = dir }
    sh(dir, "echo two >f; git commit -qam two; echo three >f; git add f")
    assert(git:reset({ paths = "f", cwd = dir }))
    assert.are.equal(" M", status(dir).files[1].index_status
      .. status(dir).files[1].work_tree_status)
    assert(git:restore("f", here))
    assert.are.equal("two\n", sh(dir, "cat f"))
    assert(git:restore({ "f" },
      { source = "HEAD~1", staged = true, worktree = true, cwd = dir }))
    assert.are.same({ "one\n", true },
      { sh(dir, "cat f"), status(dir).has_staged })
    assert(git:reset({ mode = "hard", ref = "HEAD~1", cwd = dir }))
    assert.are.same({ "one\n", true },
      { sh(dir, "cat f"), status(dir).is_clean })
  end)

  it("has a history", function()
    local dir = repository()
    sh(dir, "git checkout -qb side; echo 2 >g; git add g; git commit -qm side"
      .. "; git checkout -q main; git merge -q --no-ff -m merged side"
      .. "; git tag v1; git config log.showSignature true"
      .. "; git config color.ui always")
    local when = { GIT_AUTHOR_DATE = "2001-02-03T04:05:06+0200",
      GIT_AUTHOR_NAME = "Zoé, Z" }
    assert(git:commit("Subject\n\nBody, \n'more'\n",
      { allow_empty = true, cwd = dir, envs = when }))
    local log = assert(git:log({ cwd = dir }))
    assert.are.equal(4, #log)
    assert.are.same({
      hash = sh(dir, "git rev-parse HEAD"):sub(1, -2),
      short_hash = log[1].hash:sub(1, #log[1].short_hash),
      author_name = "Zoé, Z", author_email = "ann@x",
      date = "2001-02-03T04:05:06+02:00", timestamp = 981165906,
      subject = "Subject", body = "Body,\n'more'", parents = { log[2].hash },
      refs = { "HEAD", "main" },
    }, log[1])
    assert.are.same({ 2, { "tag: v1" }, "merged" },
      { #log[2].parents, log[2].refs, log[2].subject })
    for _, commit in ipairs(log) do
      assert.are.equal(commit.subject == "one", #commit.parents == 0)
    end
    log = assert(git:log({ cwd = dir, max_count = 1, ref = "side",
      paths = { "g" } }))
    assert.are.same({ 1, "side" }, { #log, log[1].subject })
    local none, err = git:log({ cwd = dir, ref = "nowhere" })
    assert.is_nil(none)
    assert.is_true(err:is("GitCommandError"))
  end)

  it("shows differences", function()
    local dir = repository()
    sh(dir, "printf 'two\\377\\n' >f; git config color.ui always")
    local text = assert(git:diff({ cwd = dir }))
    assert.is_truthy(text:find("\n-one\n+two\255\n", 1, true))
    assert.are.equal("", (git:diff({ cwd = dir, staged = true })))
    sh(dir, "git add f")
    assert.are.equal(text, (git:diff({ cwd = dir, staged = true })))
    assert.are.equal(text, (git:diff({ cwd = dir, ref = "HEAD", paths = "f" })))
    assert.is_truthy(assert(git:diff({ cwd = dir, staged = true, stat = true }))
      :find("1 file changed", 1, true))
  end)

  it("fails as git does, and in a missing directory", function()
    local result, err = git:status({ cwd = "/tmp" })
    assert.is_nil(result)
    assert.is_true(err:is("GitCommandError"))
    assert.are.equal(128, err.exit_code)
    assert.is_truthy(err.stderr:find(err.message, 1, true))
    result, err = git:status({ cwd = "/no/such" })
    assert.is_nil(result)
    assert.is_true(err:is("ValidationError")) -- as of every other command
    assert.is_truthy(err.message:find("'/no/such'", 1, true))
    result, err = git:clone("/no/such/repository")
    assert.is_nil(result)
    assert.is_true(err:is("GitCommandError"))
  end)

  it("works against a host that is open to all", function()
    local host = git_host.start({})
    finally(function()
      git_host.stop(host)
    end)
    local url = host.url .. "/repo.git"
    assert(git:clone(url, "open", { depth = 1, branch = "main" }))
    sh("open", "echo two >two; git add two; git commit -qm two")
    assert.are.equal(1, status("open").ahead)
    assert(git:push("origin", "main", { cwd = "open" }))
    assert.are.equal(0, status("open").ahead)
    assert(git:clone(url, { dest = "other" }))
    sh("open", "git rm -q two; git commit -qm three; git push -q")
    assert(git:pull({ ff_only = true, cwd = "other" }))
    assert.are.equal("three\n", sh("other", "git log -1 --format=%s"))
    local result, err = git:clone(host.url .. "/none.git", "none")
    assert.is_nil(result)
    assert.is_true(err:is("GitCommandError"))
  end)
end)
