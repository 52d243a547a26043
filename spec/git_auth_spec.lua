-- capsule.git with credentials, and what a failure of git means. Credentials are
-- never part of a URL.
-- Not sanitized: it is made of commands and files, which are.

local cjson = require("cjson")
local core = require("wrenn.core")
local credentials = require("wrenn.git.credentials")
local disk = require("spec.support.disk")
local expect = require("spec.support.expect")
local git_host = require("spec.support.git_host")
local peer = require("spec.support.peer")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local traits_of = require("wrenn.server").traits
local wrenn = require("wrenn")

local Capsule, task = wrenn.Capsule, wrenn.task

local NEVER = "/nonexistent/go" -- a file that does not come
-- Of this run alone: what others run on this machine is looked at, too.
local OWN = server.unique()
local USER, PASSWORD = "us:er", "p@ss/w'ord\"$HOME %41 é" .. OWN
local ESCAPED = "p%40ss%2Fw%27ord%22%24HOME%20%2541%20%C3%A9" .. OWN
local LOGIN = { username = USER, password = PASSWORD }

-- A copy of LOGIN with further options.
local function login(more)
  local opts = { username = USER, password = PASSWORD }
  for name, value in pairs(more or {}) do
    opts[name] = value
  end
  return opts
end

-- What must not be found anywhere: the password in its shapes.
local shapes = { PASSWORD, ESCAPED,
  core.base64_encode(USER .. ":" .. PASSWORD),
  (ESCAPED:gsub("%%%x%x", string.lower)) }

local function has_secret(text)
  for _, shape in ipairs(shapes) do
    if text:find(shape, 1, true) then
      return true
    end
  end
  return false
end

describe("a git that failed", function()
  local p, git

  local function answer(...)
    p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' },
      { 200, '{"version":"0.2.0"}' }, ...)
    local capsule = assert(Capsule.connect("cl-1", p:options()))
    assert(traits_of(capsule.client)) -- asks once
    git = capsule.git
  end

  local function ended(exit_code, stderr, stdout)
    answer({ 200, cjson.encode({ exit_code = exit_code, stderr = stderr or "",
      stdout = stdout or "" }) })
  end

  local function body(number)
    return cjson.decode(p:received()[number]:match("\r\n\r\n(.*)$"))
  end

  after_each(function()
    p:stop()
  end)

  local auth = {
    "fatal: Authentication failed for 'https://h/r'",
    "fatal: could not read Username for 'https://h': terminal prompts"
      .. " disabled",
    "fatal: could not read Password for 'https://u@h': No such device",
    "remote: Invalid username or password.\nfatal: x",
    "remote: HTTP Basic: Access denied\n",
    "git@h: Permission denied (publickey,password).\r\nfatal: x",
    "remote: not authorized",
    "fatal: unable to access 'https://h/r/': The requested URL returned error:"
      .. " 403",
  }
  it("for want of a right to be there says so", function()
    for _, stderr in ipairs(auth) do
      ended(128, stderr)
      local result, err = git:clone("https://h/r")
      assert.is_nil(result)
      assert.are.equal("GitAuthError", err.type, stderr)
      assert.is_true(err:is("GitError"))
      assert.are.equal("git clone: authentication failed", err.message)
      assert.are.same({ stderr, 128 }, { err.stderr, err.exit_code })
      p:stop()
    end
    answer({ 200, "{}" })
  end)

  local other = {
    { "clone", "fatal: could not create work tree dir '/r': Permission denied"
    },
    { "clone", "fatal: repository '/authentication failed' does not exist" },
    { "push", "error: src refspec 'access denied' does not match any" },
    { "add", "error: open(\"x\"): Permission denied" },
    { "checkout_branch", "error: pathspec not authorized did not match" },
    { "commit", "authentication failed (said a hook)" },
  }
  it("for another reason does not look like that", function()
    for _, case in ipairs(other) do
      ended(1, "\n " .. case[2] .. "\n")
      local result, err = git[case[1]](git, "x")
      assert.is_nil(result)
      assert.are.equal("GitCommandError", err.type)
      assert.are.equal(case[2], err.message)
      p:stop()
    end
    answer({ 200, "{}" })
  end)

  it("says what it printed, or that it failed", function()
    ended(1, " \n", "nothing to commit\n")
    local _, err = git:commit("m")
    assert.are.equal("nothing to commit", err.message)
    p:stop()
    ended(1)
    _, err = git:push()
    assert.are.equal("git push failed (exit 1)", err.message)
    assert.are.same({ "", 1 }, { err.stderr, err.exit_code })
    p:stop()
    answer({ 200, "{}" }) -- no exit code is no success
    _, err = git:pull()
    assert.is_true(err:is("ProtocolError"))
  end)

  it("on the way to the server is no GitError", function()
    answer({ 404, '{"error":{"code":"not_found","message":"no capsule"}}' })
    local result, err = git:push(login())
    assert.is_nil(result)
    assert.is_true(err:is("NotFoundError"))
  end)

  it("looks for a remote first, for credentials", function()
    ended(2, "error: No such remote 'origin'\n")
    for _, name in ipairs({ "push", "pull", "fetch" }) do
      local result, err = git[name](git, login())
      assert.is_nil(result)
      assert.are.equal("GitCommandError", err.type)
      assert.are.equal("Remote 'origin' not found.", err.message)
      assert.are.equal(2, err.exit_code)
    end
    p:stop()
    ended(0, "", "git@h:r.git\n")
    local result, err = git:push(login())
    assert.is_nil(result)
    assert.are.equal("GitError", err.type)
    assert.are.equal(3, #p:received())
  end)

  it("has nothing to do with misuse", function()
    answer({ 200, "{}" })
    local https = "https://h/r"
    local calls = {
      { "'password'", "clone", https, { password = "p" } },
      { "'password'", "push", { password = "p" } },
      { "'username'", "clone", https, { username = "", password = "p" } },
      { "'username'", "clone", "git@h:r", LOGIN },
      { "'username'", "clone", "ssh://h/r", LOGIN },
      { "'username'", "clone", "/srv/r", LOGIN },
      { "'username'", "push", "git@h:r", nil, LOGIN },
      { "'username'", "fetch", "../r", nil, LOGIN },
      { "'url'", "clone", "ssh://u:p@h/r" },
      { "'url'", "clone", "https://u:p%0Ahost=x@h/r" },
      { "'username'", "pull", { username = "a\nb", password = "p" } },
      { "'password'", "pull", { username = "a", password = "b\nhost=x" } },
      { "'password'", "clone", https, { username = "a", password = "b\r" } },
      { "'password'", "clone", https, { username = "a", password = "b\0" } },
      { "'all'", "fetch", login({ all = true }) },
      { "'dest'", "clone", "https://h",
        login({ dangerously_store_credentials = true }) },
      { "'url'", "remote_add", "up", "https://u:p@h/r" },
      { "'username'", "dangerously_authenticate", "a\nb", "p" },
      { "'password'", "dangerously_authenticate", "u", "p\nq" },
      { "'password'", "dangerously_authenticate", "u", "" },
      { "'password'", "dangerously_authenticate", "u", "p\0" },
      { "'host'", "dangerously_authenticate", "u", "p", { host = "a\nb" } },
      { "'host'", "dangerously_authenticate", "u", "p", { host = "" } },
      { "'protocol'", "dangerously_authenticate", "u", "p",
        { protocol = "https\nhost=x" } },
      { "'protocol'", "dangerously_authenticate", "u", "p",
        { protocol = "ssh" } },
    }
    for i, case in ipairs(calls) do
      local ok, err = pcall(function()
        return git[case[2]](git, case[3], case[4], case[5]) or nil
      end)
      local where = ("call %d, %s: %s"):format(i, case[2], tostring(err))
      assert.is_false(ok, where)
      assert.is_truthy(err:find(case[1], 1, true), where)
      assert.is_truthy(err:find("git_auth_spec.lua:", 1, true), where)
    end
    assert.are.equal(2, #p:received())
  end)

  it("never had a secret on its command line, nor tells one", function()
    ended(1, "fatal: '" .. table.concat(shapes, " ") .. "' failed\n")
    for _, call in ipairs({
      { "clone", "https://h:8443/r", login({ branch = "b" }) },
      { "clone", ("https://us%%3Aer:%s@h:8443/r"):format(ESCAPED) },
      { "push", "https://h:8443/r", nil, LOGIN },
    }) do
      local result, err = git[call[1]](git, call[2], call[3], call[4])
      assert.is_nil(result)
      local request = body(#p:received())
      assert.is_false(has_secret(cjson.encode(request.args)))
      assert.is_false(has_secret(table.concat(request.args, "\n")))
      assert.are.equal("https://h:8443/r", request.args[#request.args])
      assert.are.same({ USER, PASSWORD, "https://h:8443" }, {
        request.envs.WRENN_GIT_USERNAME, request.envs.WRENN_GIT_PASSWORD,
        request.envs.WRENN_GIT_ORIGIN })
      assert.are.equal("fatal: '*** *** *** ***' failed", err.message)
      assert.is_false(has_secret(tostring(err) .. err.stderr))
    end
    -- a short one is in words that matter, which stay what they are
    p:stop()
    ended(128, "fatal: Authentication failed for 'https://u:a@h/r/'")
    local _, err = git:clone("https://h/r", { username = "u", password = "a" })
    assert.are.equal("GitAuthError", err.type)
    assert.are.equal("fatal: Authentication failed for 'https://u:***@h/r/'",
      err.stderr)
    -- a name without a password is a token
    git:clone("https://tok@h/r")
    local request = body(#p:received())
    assert.are.same({ "tok", "", "https://h/r" }, {
      request.envs.WRENN_GIT_USERNAME, request.envs.WRENN_GIT_PASSWORD,
      request.args[#request.args] })
  end)

  it("may have a server that repeats what it was sent", function()
    answer({ 400, cjson.encode({ error = { code = "invalid_request",
      message = "bad envs: " .. PASSWORD } }) })
    local _, err = git:clone("https://h/r", LOGIN)
    assert.is_true(err:is("ValidationError"))
    assert.are.equal("bad envs: ***", err.message)
  end)
end)

describe("the directory of an address", function()
  for address, expected in pairs({
    ["https://h/u/repo.git/"] = "repo", ["https://h/u/repo"] = "repo",
    ["http://h/repo.git"] = "repo", ["https://h/u/repo/.git"] = "repo",
    ["git@h:u/repo.git"] = false, ["ssh://h/u/repo"] = false,
    ["https://h"] = false, ["https://h/"] = false, ["https://h/.git"] = false,
  }) do
    it(address, function()
      assert.are.equal(expected, credentials.directory_of(address) or false)
    end)
  end
end)

describe("git with credentials", function()
  local s, host, url, capsule, git
  local extra = {} -- hosts of one test

  setup(function()
    s = server.start()
    host = git_host.start({ username = USER, password = PASSWORD })
    url = host.url .. "/repo.git"
    capsule = assert(Capsule.create(s:options({ wait = true })))
    git = capsule.git
    assert(git:configure_user("Ann", "ann@x"))
  end)

  teardown(function()
    git_host.stop(host)
    s:stop()
  end)

  after_each(function()
    while extra[1] do
      git_host.stop(table.remove(extra))
    end
  end)

  local function start_host(opts)
    extra[#extra + 1] = git_host.start(opts)
    return extra[#extra]
  end

  local function sh(dir, script)
    return assert(capsule.commands:run(script,
      { cwd = "~/" .. dir, check = true })).stdout
  end

  -- Whether any file of the capsule holds the secret. Where there are no walls
  -- /tmp is not its own.
  local function left_behind()
    for _, shape in ipairs(shapes) do
      local result = assert(capsule.commands:run('grep -rqF -e "$SHAPE" ~'
        .. (walls.up and " /tmp" or ""), { envs = { SHAPE = shape } }))
      if result.exit_code ~= 1 then
        return true
      end
    end
    return false
  end

  local function no_process()
    return #assert(capsule.commands:list()) == 0
  end

  it("clones, pushes, pulls and fetches", function()
    assert(git:clone(url, "one", LOGIN))
    assert(git:clone(url, login({ dest = "two", depth = 1 })))
    sh("one", "echo x >x; git add x; git commit -qm x")
    local pushed = assert(git:push("origin", "main",
      login({ cwd = "one", set_upstream = true })))
    assert.is_truthy(pushed.stderr:find("main -> main", 1, true))
    assert(git:fetch(login({ cwd = "two", prune = true })))
    assert.are.equal(1, assert(git:status({ cwd = "two" })).behind)
    assert(git:pull(login({ cwd = "two", ff_only = true })))
    assert.are.equal("x\n", sh("two", "cat x"))
    assert(git:pull(url, "main", login({ cwd = "two" })))
    assert.are.equal(url, (git:remote_get("origin", { cwd = "one" })))
    assert.is_false(left_behind())
  end)

  it("takes those out of a URL", function()
    local with = url:gsub("//", ("//us%%%%3Aer:%s@"):format(
      (ESCAPED:gsub("%%", "%%%%"))))
    assert(git:clone(with, "from-url"))
    assert.are.equal(url, (git:remote_get("origin", { cwd = "from-url" })))
    assert(git:fetch(with, "main", { cwd = "from-url" }))
    assert.is_false(left_behind())
  end)

  it("fails with wrong ones, and with none", function()
    for _, opts in ipairs({ { username = USER, password = "wrong" }, {} }) do
      local result, err = git:clone(url, "none", opts)
      assert.is_nil(result)
      assert.are.equal("GitAuthError", err.type)
      assert.are.equal("git clone: authentication failed", err.message)
      assert.is_nil((err.stderr:find("wrong", 1, true)))
    end
    assert.is_false(capsule.files:exists("none"))
    assert(git:clone(url, "wrong", LOGIN))
    for _, name in ipairs({ "push", "pull", "fetch" }) do
      local result, err = git[name](git,
        { cwd = "wrong", username = USER, password = "wrong" })
      assert.is_nil(result)
      assert.are.equal("git " .. name .. ": authentication failed", err.message)
    end
    assert.is_false(left_behind())
  end)

  it("beats those of other helpers and of the remote's URL", function()
    assert(git:clone(url, "stale", LOGIN))
    sh("stale", [[git config credential.helper \
      '!f() { cat >>~/told; echo username=x; echo password=y; }; f'
      git remote set-url origin "$(git remote get-url origin |
        sed 's#//#//old:stale@#')"]])
    assert(git:fetch(login({ cwd = "stale" })))
    assert.is_false(capsule.files:exists("told"))
    assert.is_truthy(assert(git:remote_get("origin", { cwd = "stale" }))
      :find("//old:stale@", 1, true))
  end)

  it("shows them to nobody while it runs", function()
    local go = os.tmpname()
    os.remove(go)
    local slow = start_host({ username = USER, password = PASSWORD, go = go })
    local function look(name)
      return disk.shell("cat /proc/[0-9]*/" .. name .. " 2>/dev/null")
    end
    local looked, shown, done, result, err
    task.run(function()
      task.spawn(function()
        result, err = git:clone(slow.url .. "/repo.git", "slow", LOGIN)
        done = true
      end)
      while not done do
        local cmdlines = look("cmdline")
        shown = shown or has_secret(cmdlines)
        -- It does not end before it was looked at.
        if cmdlines:find("git-remote-http", 1, true)
          and has_secret(look("environ"))
        then
          looked = true
          disk.write(go, "")
        end
        task.sleep(0.01)
      end
    end)
    os.remove(go)
    assert(result, err)
    assert.is_true(looked)
    assert.is_false(shown)
  end)

  it("keeps them from a host it is sent to", function()
    local target = start_host({ username = USER, password = PASSWORD })
    -- at once, and only once it knows the password
    for _, first in ipairs({ "true", "req.headers.authorization" }) do
      local gate = peer.start(([[
        while true do
          local req = c:request()
          if not req then return end
          if %s then
            c:respond(302, "", { "Location: %s" .. req.path })
          else
            c:respond(401, "", { 'WWW-Authenticate: Basic realm="x"' })
          end
        end]]):format(first, target.url))
      extra[#extra + 1] = gate
      local result, err = git:clone(gate.url .. "/repo.git", "sent", LOGIN)
      assert.is_nil(result)
      assert.are.equal("GitAuthError", err.type)
      local asked = table.concat(gate:received())
      assert.are.equal(first ~= "true", asked:find("Authorization:") ~= nil)
    end
    local got = target:received()
    assert.is_true(#got >= 2)
    assert.is_nil(table.concat(got):find("Authorization:", 1, true))
  end)

  it("leaves no git behind when the time is over, or when cancelled", function()
    local stuck = start_host({ username = USER, password = PASSWORD,
      go = NEVER })
    local address = stuck.url .. "/repo.git"
    local result, err = git:clone(address, "late", login({ timeout = 1 }))
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"))
    expect.soon(no_process)
    result, err = task.with_timeout(0.5, function()
      return git:clone(address, "late", LOGIN)
    end)
    assert.is_nil(result)
    assert.is_true(err:is("TimeoutError"), tostring(err))
    expect.soon(no_process)
    -- without credentials as well
    stuck = start_host({ go = NEVER })
    task.run(function()
      local cloning = task.spawn(function()
        result, err = git:clone(stuck.url .. "/repo.git", "late")
      end)
      expect.soon(function()
        return #stuck:received() == 1
      end)
      cloning:cancel()
      cloning:wait()
    end)
    assert.is_nil(result)
    assert.is_true(err:is("CancelledError"))
    expect.soon(no_process)
    expect.soon(function()
      return not capsule.files:exists("late")
    end)
  end)

  it("stores them only when told to", function()
    assert(git:clone(url, login({ dest = "-kept",
      dangerously_store_credentials = true })))
    local kept = ("%s//us%%3Aer:%s@%s"):format(url:match("^(.-)//"), ESCAPED,
      url:match("//(.*)$"))
    assert.are.equal(kept, (git:remote_get("origin", { cwd = "-kept" })))
    assert(git:fetch({ cwd = "-kept" }))
    sh("", "mkdir in")
    assert(git:clone(kept,
      { cwd = "in", dangerously_store_credentials = true }))
    assert.are.equal(kept, (git:remote_get("origin", { cwd = "in/repo" })))
    assert(git:remote_add('q"x', kept, { cwd = "in/repo", fetch = true,
      dangerously_store_credentials = true }))
    assert.are.equal(kept, (git:remote_get('q"x', { cwd = "in/repo" })))
    assert.are.equal("main\n", sh("in/repo",
      "git for-each-ref --format='%(refname:lstrip=3)' 'refs/remotes/q\"x'"))
    assert.is_true(left_behind())
    sh("", "rm -rf ./-kept in")
    assert.is_false(left_behind())
  end)

  it("keeps them for all of a capsule's gits when told to", function()
    local result, err = git:clone(url, "before")
    assert.is_nil(result)
    assert.is_true(err:is("GitAuthError"))
    assert.is_true(git:dangerously_authenticate(USER, PASSWORD,
      { host = url:match("//([^/]+)"), protocol = "http" }))
    assert(git:clone(url, "after"))
    assert.is_true(left_behind())
    assert.are.equal("600\n", sh("", "stat -c %a .git-credentials"))
    sh("", "rm .git-credentials; git config --global --unset credential.helper")
    assert.is_false(left_behind())
  end)

  -- The oldest servers give a foreground command neither an environment nor a
  -- directory.
  describe("on a server of generation 0.1", function()
    local early, box, old, seen

    local function in_box(line)
      return assert(box.commands:run(line)).stdout
    end

    setup(function()
      early = server.start("--generation 0.1")
      box = assert(Capsule.create(early:options({ wait = true })))
      old = box.git
      assert(old:configure_user("Ann", "ann@x"))
      -- What the list of processes shows, over and over.
      seen = assert(box.commands:run("while :; do cat /proc/[0-9]*/cmdline"
        .. " 2>/dev/null | tr '\\0' ' '; done >/tmp/seen",
        { background = true }))
    end)

    teardown(function()
      early:stop()
    end)

    after_each(function()
      expect.soon(function() -- what is tidied up may go on for a moment
        return in_box("ls .wrenn/envs") == ""
          and (not walls.up or in_box("ls /tmp") == "seen\n")
      end)
    end)

    it("has its directory and its environment", function()
      assert(old:init("old one"))
      assert(old:commit("m", { allow_empty = true, cwd = "old one",
        envs = { GIT_AUTHOR_NAME = "it's\n\"$HOME\" `x`" } }))
      local log = assert(old:log({ cwd = "~/old one" }))
      -- git itself cuts the line end out of a name
      assert.are.equal("it's\"$HOME\" `x`",
        (log[1].author_name:gsub("\n", "")))
      assert(old:status({ cwd = "old one", envs = { A = "b" } }))
    end)

    it("has its credentials, seen by nobody", function()
      assert(old:clone(url, "old", LOGIN))
      assert(old:push("origin", "main:old", login({ cwd = "old" })))
      assert(old:fetch(login({ cwd = "old" })))
      local result, err = old:fetch({ cwd = "old", username = "u",
        password = "wrong" })
      assert.is_nil(result)
      assert.is_true(err:is("GitAuthError"))
      assert.is_true(old:dangerously_authenticate(USER, PASSWORD,
        { host = url:match("//([^/]+)"), protocol = "http" }))
      assert(old:fetch({ cwd = "old" }))
      assert(seen:kill())
      local text = assert(box.files:read("/tmp/seen"))
      assert.is_truthy(text:find("git -c wrenn.run=", 1, true))
      assert.is_false(has_secret(text))
    end)

    it("leaves nothing behind when the time is over", function()
      assert(old:status({ cwd = "old one", envs = { A = "b" } }))
      local stuck = start_host({ username = USER, password = PASSWORD,
        go = NEVER })
      local result, err = old:clone(stuck.url .. "/repo.git", "late",
        login({ timeout = 1 }))
      assert.is_nil(result)
      assert.is_true(err:is("TimeoutError"), tostring(err))
      end)
  end)
end)
