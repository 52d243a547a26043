-- The command lines of capsule.git; git_spec.lua runs them.
-- Not sanitized: they are made by Lua.

local cjson = require("cjson")
local parse = require("wrenn.git.parse")
local peer = require("spec.support.peer")
local wrenn = require("wrenn")

local Capsule = wrenn.Capsule

describe("the git that is asked for", function()
  local p, git

  local function answer(...)
    p = peer.answering({ 200, '{"id":"cl-1","status":"running"}' },
      { 200, '{"version":"0.2.0"}' }, ...)
    git = assert(Capsule.connect("cl-1", p:options())).git
  end

  before_each(function()
    answer({ 200, '{"exit_code":0}' })
  end)

  after_each(function()
    p:stop()
  end)

  -- Of a request, not counting the one that asks for the server's version.
  local function body(number)
    local received = p:received()
    assert.is_truthy(received[2]:find("^GET /health "))
    return cjson.decode(received[number + 1]:match("\r\n\r\n(.*)$"))
  end

  local LOG = "--format=" .. parse.LOG
  -- what is called, its arguments, git's words
  local calls = {
    { "clone", { "u/r" }, { "clone", "--", "u/r" } },
    { "clone", { "https://h/r", "d", { branch = "b", depth = 1 } },
      { "clone", "--branch", "b", "--single-branch", "--depth", "1", "--",
        "https://h/r", "d" } },
    { "clone", { "https://h/r", { dest = "-d", cwd = "/w" } },
      { "-C", "/w", "clone", "--", "https://h/r", "-d" } },
    { "init", {}, { "init", "--", "." } },
    { "init", { "/p q", { bare = true, initial_branch = "main" } },
      { "init", "--initial-branch", "main", "--bare", "--", "/p q" } },
    { "add", {}, { "add", "." } },
    { "add", { { all = true } }, { "add", "-A" } },
    { "add", { { "a", "b" } }, { "add", "--", "a", "b" } },
    { "add", { "-x", { cwd = "/w" } }, { "-C", "/w", "add", "--", "-x" } },
    { "add", { { paths = "a" } }, { "add", "--", "a" } },
    { "commit", { "M" }, { "commit", "-m", "M" } },
    { "commit", { "it's \"M\"\n$(x)", { author_name = "N", author_email = "E",
      allow_empty = true } },
      { "-c", "user.name=N", "-c", "user.email=E", "commit", "-m",
        "it's \"M\"\n$(x)", "--allow-empty" } },
    { "commit", { "--amend" }, { "commit", "-m", "--amend" } },
    { "commit", { "~/x" }, { "commit", "-m~/x" } },
    { "push", {}, { "push", "--", "origin" } },
    { "push", { "up", "b", { force = true, set_upstream = true } },
      { "push", "--force", "--set-upstream", "--", "up", "b" } },
    { "push", { { branch = "b" } }, { "push", "--", "origin", "b" } },
    { "push", { nil, "b" }, { "push", "--", "origin", "b" } },
    { "pull", { "up", { rebase = true } }, { "pull", "--rebase", "--", "up" } },
    { "pull", { { ff_only = true } }, { "pull", "--ff-only", "--", "origin" } },
    { "fetch", { "up", "b", { prune = true } },
      { "fetch", "--prune", "--", "up", "b" } },
    { "fetch", { { all = true } }, { "fetch", "--all" } },
    { "status", { { cwd = "~/w" } },
      { "-C", "w", "status", "--porcelain=v2", "--branch", "-z" } },
    { "branches", { { cwd = "~" } }, { "for-each-ref",
      "--format=%(refname:lstrip=2)\t%(HEAD)", "refs/heads" } },
    { "create_branch", { "b" }, { "checkout", "-b", "b" } },
    { "create_branch", { "b", { start_point = "v1" } },
      { "checkout", "-b", "b", "v1", "--" } },
    { "checkout_branch", { "b" }, { "checkout", "b", "--" } },
    { "delete_branch", { "b" }, { "branch", "-d", "--", "b" } },
    { "delete_branch", { "b", { force = true } },
      { "branch", "-D", "--", "b" } },
    { "remote_add", { "up", "u@h:r" }, { "remote", "add", "--", "up",
      "u@h:r" } },
    { "remote_add", { "up", "/r", { fetch = true } },
      { "remote", "add", "-f", "--", "up", "/r" } },
    { "remote_get", {}, { "remote", "get-url", "--", "origin" } },
    { "remote_get", { "up" }, { "remote", "get-url", "--", "up" } },
    { "reset", {}, { "reset" } },
    { "reset", { { mode = "hard", ref = "HEAD~1" } },
      { "reset", "--hard", "HEAD~1", "--" } },
    { "reset", { { paths = { "a" } } }, { "reset", "--", "a" } },
    { "restore", { "a" }, { "restore", "--worktree", "--", "a" } },
    { "restore", { { "a", "b" }, { staged = true, source = "v1" } },
      { "restore", "--staged", "--source", "v1", "--", "a", "b" } },
    { "set_config", { "a.b", "v", { cwd = "/w" } },
      { "-C", "/w", "config", "--local", "a.b", "v" } },
    { "set_config", { "a.b", "--unset", { scope = "global", cwd = "/w" } },
      { "config", "--global", "--", "a.b", "--unset" } },
    { "get_config", { "a.b", { scope = "system" } },
      { "config", "--system", "--null", "--get", "a.b" } },
    { "log", {}, { "log", "-z", "--no-color", "--no-show-signature",
      "--encoding=UTF-8", LOG, "--" } },
    { "log", { { max_count = 3, ref = "a..b", paths = "-p" } },
      { "log", "-z", "--no-color", "--no-show-signature", "--encoding=UTF-8",
        LOG, "--max-count=3", "a..b", "--", "-p" } },
    { "diff", {}, { "diff", "--no-color", "--no-ext-diff", "--" } },
    { "diff", { { staged = true, ref = "v1", name_only = true,
      paths = { "a" } } }, { "diff", "--no-color", "--no-ext-diff", "--cached",
      "--name-only", "-z", "v1", "--", "a" } },
  }
  it("gets each word unchanged", function()
    for i, call in ipairs(calls) do
      git[call[1]](git, call[2][1], call[2][2], call[2][3])
      local request = body(i + 1)
      local where = ("call %d, %s"):format(i, call[1])
      assert.are.equal("git", request.cmd, where)
      assert.are.same(call[3], request.args, where)
      assert.are.same({ GIT_TERMINAL_PROMPT = "0", LC_ALL = "C" },
        request.envs, where)
      assert.is_nil(request.cwd, where)
    end
  end)

  it("has the environment and the time of the call", function()
    git:status({ envs = { GIT_TERMINAL_PROMPT = "1", A = "b" }, timeout = 5 })
    local request = body(2)
    assert.are.same({ GIT_TERMINAL_PROMPT = "1", LC_ALL = "C", A = "b" },
      request.envs)
    -- one more for the server than for the command
    assert.are.equal(6, request.timeout_sec)
    local limits = { clone = 300, push = 60, pull = 60, fetch = 60 }
    local number = 2
    for name, seconds in pairs(limits) do
      number = number + 1
      git[name](git, "origin")
      assert.are.equal(seconds, body(number).timeout_sec)
    end
    git:add()
    assert.are.equal(30, body(number + 1).timeout_sec)
    git:add({ timeout = false })
    assert.is_nil(body(number + 2).timeout_sec)
  end)

  it("sets two values for a user", function()
    assert.is_true(git:configure_user("N", "E"))
    assert.are.same({ "config", "--global", "user.name", "N" }, body(2).args)
    assert.are.same({ "config", "--global", "user.email", "E" }, body(3).args)
  end)

  -- What a call must name when it refuses its arguments.
  local misuses = {
    { "'url'", "clone", "--upload-pack=x" },
    { "'url'", "clone" },
    { "'url'", "clone", 5 },
    { "'url'", "clone", "a\0b" },
    { "'dest'", "clone", "/r", "" },
    { "'branch'", "clone", "/r", { branch = "-b" } },
    { "'depth'", "clone", "/r", { depth = 0 } },
    { "'nope'", "clone", "/r", { nope = 1 } },
    { "'opts'", "clone", "/r", "d", "x" },
    { "'opts'", "push", { force = true }, "b" },
    { "'initial_branch'", "init", ".", { initial_branch = "--bare" } },
    { "'paths'", "add", {} },
    { "'paths'", "add", { "a", "" } },
    { "'paths'", "add", { "a", 5 } },
    { "'paths'", "add", 5 },
    { "'message'", "commit" },
    { "'message'", "commit", "" },
    { "'remote'", "push", "--exec=x" },
    { "'branch'", "push", "origin", "--mirror" },
    { "'remote'", "pull", "-x" },
    { "'remote'", "fetch", "--upload-pack=x" },
    { "'all'", "fetch", "origin", { all = true } },
    { "'name'", "create_branch", "-b" },
    { "'start_point'", "create_branch", "b", { start_point = "--x" } },
    { "'name'", "checkout_branch", "-f" },
    { "'name'", "delete_branch", "-r" },
    { "'name'", "remote_add", "-f", "/r" },
    { "'url'", "remote_add", "up" },
    { "'url'", "remote_add", "up", "-x" },
    { "'name'", "remote_get", "--all" },
    { "'mode'", "reset", { mode = "x" } },
    { "'ref'", "reset", { ref = "--hard" } },
    { "'paths'", "restore" },
    { "'paths'", "restore", {} },
    { "'source'", "restore", "a", { source = "-s" } },
    { "'key'", "set_config", "--unset", "x" },
    { "'value'", "set_config", "a.b" },
    { "'scope'", "set_config", "a.b", "c", { scope = "invalid" } },
    { "'scope'", "get_config", "a.b", { scope = "worktree" } },
    { "'name'", "configure_user", "", "e" },
    { "'email'", "configure_user", "n", "" },
    { "'ref'", "log", { ref = "--output=x" } },
    { "'max_count'", "log", { max_count = 1.5 } },
    { "'ref'", "diff", { ref = "--output=x" } },
    { "'stat'", "diff", { stat = true, name_only = true } },
    { "'timeout'", "status", { timeout = true } },
    { "'envs'", "status", { envs = { 1 } } },
    { "'cwd'", "branches", { cwd = 1 } },
  }
  it("is none when an argument is wrong", function()
    for i, case in ipairs(misuses) do
      local ok, err = pcall(function()
        return git[case[2]](git, case[3], case[4], case[5]) or nil
      end)
      local where = ("call %d, %s: %s"):format(i, case[2], tostring(err))
      assert.is_false(ok, where)
      assert.is_truthy(err:find(case[1], 1, true), where)
      assert.is_truthy(err:find("git_words_spec.lua:", 1, true), where)
    end
    assert.is_false((pcall(git.status)))
    assert.are.equal(1, #p:received())
  end)

  it("may answer with nothing", function()
    assert.are.same({ ahead = 0, behind = 0, detached = false, files = {},
      is_clean = true, has_staged = false, has_untracked = false,
      has_conflicts = false }, (git:status()))
    assert.are.same({}, (git:branches()))
  end)

  -- Output that is cut anywhere, or is something else, is no result.
  local head = ("%s\0"):format(("a"):rep(40))
  local broken = {
    status = { "what is\0", "# branch.head main", "? x", "?\0", "? \0",
      "2 R. N... 1 2 3 a b R100 y\0\0", "2 R. N... 100644 "
      .. "100644 100644 a a R100 new\0", "1 M. N... 100644 x\0", "1\0",
      "u UU N... 1 2 3\0" },
    branches = { "main\t*\nde" },
    log = { "x", head, head:rep(9), head:rep(11), head:rep(10) .. "a" },
    diff = { "a\0b" },
  }
  it("may answer with what it cannot have printed", function()
    for name, texts in pairs(broken) do
      for _, text in ipairs(texts) do
        p:stop()
        answer({ 200, cjson.encode({ exit_code = 0, stdout = text }) })
        local result, err = git[name](git,
          name == "diff" and { name_only = true } or nil)
        assert.is_nil(result, text)
        assert.is_true(err:is("ProtocolError"))
      end
    end
  end)

  it("may answer with bytes that are never an error of Lua", function()
    local whole = "# branch.head main\0# branch.ab +1 -2\0001 M. N... 1 2 3 a b"
      .. " x\0002 R. N... 1 2 3 a b R100 y\0z\0u UU N... 1 2 3 4 a b c w\0? v\0"
    assert.are.equal(4, #assert(parse.status(whole)).files)
    for i = 1, #whole do
      for _, byte in ipairs({ "", "\0", " ", "\255", "2", "\n" }) do
        local text = whole:sub(1, i - 1) .. byte .. whole:sub(i + 1)
        for _, read in pairs({ parse.status, parse.log, parse.branches }) do
          local result = read(text)
          assert.is_true(result == nil or type(result) == "table")
        end
      end
    end
  end)
end)
