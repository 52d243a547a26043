-- The programs in the README work, whoever is the capsule's user.
-- Not sanitized: they are programs in Lua, and what they call is.

local documents = require("spec.support.documents")
local host = require("spec.support.host")
local nginx = require("spec.support.nginx")
local server = require("spec.support.server")
local walls = require("spec.support.walls")
local wrenn = require("wrenn")

local function with_file(text, use)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local figures = use(path)
  os.remove(path)
  return figures
end

local function plainly(text)
  return (text:gsub("%p", "%%%0"))
end

-- What a program says behind "-->" is printed, in this order.
local function check_output(program, text)
  local at = 1
  for said in program:gmatch("%-%->%s*([^\n]+)") do
    local _, stop = text:find(plainly(said):gsub("%s+", "%%s+"), at)
    assert.is_truthy(stop, ("'%s' is missing in:\n%s"):format(said, text))
    at = stop + 1
  end
end

local function program()
  return documents.blocks_of("README.md")[1].text
end

for _, user in ipairs({ "root", "wrenn-user" }) do
  describe("for " .. user, function()
    local s

    setup(function()
      s = server.start("--user " .. user)
    end)

    teardown(function()
      s:stop()
    end)

    it("the first program of the README does what it says", function()
      local figures = with_file(program(), function(path)
        return host.run(s, "", host.lua .. " " .. path)
      end)
      assert.are.equal(0, figures.exit, figures.text)
      assert.is_truthy(figures.text:find("Linux\n\t3", 1, true), figures.text)
      assert.is_truthy(figures.text:find("hello from Lua\n", 1, true),
        figures.text)
    end)

    it("the quickstart does what its headings say", function()
      local figures = host.run(s, "", host.lua .. " examples/quickstart.lua")
      local text = figures.text
      assert.are.equal(0, figures.exit, text)
      for _, part in ipairs({ "[compile] ...", "built", "exit code 0",
        "main.sh", "It's built & it works", "six times seven is 42",
        "a b c d e", "and it is gone" }) do
        assert.is_truthy(text:find(part, 1, true), text)
      end
    end)

    walls.only(it, pending)("commands become the other user", function()
      local capsule = assert(wrenn.Capsule.create(s:options({ wait = true })))
      local run = capsule.commands
      assert.are.equal(user .. "\n", assert(run:run("id -un")).stdout)
      for _, opts in ipairs({ { user = "root" }, { user = "root", args = {
        "-c", "id -un; pwd; echo $HOME $A" }, envs = { A = "a b" } } }) do
        local result = assert(run:run(opts.args and "/bin/sh"
          or "id -un; pwd; echo $HOME $A", opts))
        assert.are.equal("root\n/root\n/root" .. (opts.envs and " a b" or "")
          .. "\n", result.stdout)
      end
      assert.are.equal("/root\n", assert(run:run("pwd",
      { user = "root", cwd = "/root" })).stdout)
    assert(capsule.files:make_dir("below"))
    assert.is_truthy(assert(run:run("pwd",
      { user = "root", cwd = "below" })).stdout:find("/below\n$"))
    local _, err = run:run("pwd", { user = "root", cwd = "/no/such" })
    assert.is_truthy(err.message:find("/no/such", 1, true))
    capsule:destroy()
    end)
  end)
end

describe("the programs of", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  local function run_plain(path)
    return host.run(s, "", host.lua .. " " .. path)
  end

  -- Until there is something in the buffer, which is then printed.
  local function run_nvim(path)
    return host.run(s, host.luajit_env(), ("nvim --headless -u NONE -i NONE"
      .. " -c 'luafile %s' -c 'lua vim.wait(120000, function() return"
      .. ' vim.fn.getline(1) ~= "" end)'
      .. ' print(vim.fn.getline(1))\' -c qa!'):format(path))
  end

  -- Debian has copas for 5.1 and 5.2 only, but it is for all.
  local COPAS = 'package.path = package.path .. ";/usr/share/lua/5.1/?.lua'
    .. ';/usr/share/lua/5.3/?.lua"\n'

  for _, name in ipairs({ "README.md", "docs/hosts.md", "docs/python.md" }) do
    it(name .. " run from top to bottom, and print what they say", function()
      local count = 0
      for _, block in ipairs(documents.blocks_of(name)) do
        if block.kind == "lua" then
          count = count + 1
          local text = block.text
          if block.under == "copas" then
            text = COPAS .. text
          end
          local figures = with_file(text,
            block.under == "Neovim" and run_nvim or run_plain)
          assert.are.equal(0, figures.exit, block.under .. "\n"
            .. figures.text)
          assert.is_nil(figures.text:find("wrenn: a task failed", 1, true),
            figures.text)
          check_output(text, figures.text)
          if block.under == "Neovim" then
            assert.is_truthy(figures.text:find("Linux", 1, true), figures.text)
          end
        end
      end
      assert.is_true(count > 0)
    end)
  end

  -- The head of spec/hosts/nginx.conf, down to the first directive of "http"
  -- that is not about nginx's own folders, and below it the document's.
  it("docs/openresty.md serve what they say", function()
    local conf
    for _, block in ipairs(documents.blocks_of("docs/openresty.md")) do
      conf = block.kind == "nginx" and block.text or conf
    end
    local variables, http = conf:match("^(.-)http {(.*)$")
    local head = host.read_file("spec/hosts/nginx.conf")
      :match("^(.-)  lua_package_path"):gsub("env WRENN[^\n]*", "")
    http = http:gsub("8080", "@PORT@", 1)
      :gsub("/usr/local/share/lua/5.1", "@TREE@/lua")
      :gsub("/usr/local/lib/lua/5.1", "@TREE@/build/luajit")
      :gsub(';;";', ';@ROOT@/usr/share/lua/5.1/?.lua;;";', 1)
    with_file(variables .. head .. http, function(path)
      local n = nginx.start(s, path)
      local status, body = n:get("/version")
      local log = n:stop()
      assert.are.equal(200, status, log)
      assert.is_truthy(body:find("^Linux "), body)
    end)
  end)

  it("the README, by the command that it names for them", function()
    for _, block in ipairs(documents.blocks_of("README.md")) do
      if block.kind == "sh" and block.text:find("bin/wrenn local", 1, true)
        and host.lua:find("5.4", 1, true)
      then
        local figures = with_file(program(), function(path)
          return host.run(s, "", "sh -ec '" .. block.text:gsub("lua5.4",
            host.lua):gsub("script.lua", path) .. "'")
        end)
        assert.are.equal(0, figures.exit, figures.text)
        check_output(program(), figures.text)
      end
    end
  end)
end)

describe("the README", function()
  it("and the examples count on no one's home", function()
    local pipe = io.popen("grep -rnE '[\"\\`/ ](root|home)/' README.md"
      .. " examples --include=*.lua --include=README.md; echo end")
    assert.are.equal("end\n", pipe:read("*a"))
    pipe:close()
  end)
end)
