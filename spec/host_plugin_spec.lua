-- Any Lua: the Neovim plugin's files, choices, options, health and language
-- servers, in Debian's Neovim and in a current one; and the recordings.
-- Not sanitized: the clients are not.

local compat = require("spec.support.compat")
local host = require("spec.support.host")
local servers = require("spec.support.server")
local walls = require("spec.support.walls")

describe("the Neovim plugin", function()
  local server

  setup(function()
    server = servers.start()
  end)

  teardown(function()
    server:stop()
  end)

  local function check(program, env)
    local figures = host.run(server, host.luajit_env() .. " " .. (env or ""),
      program .. " --headless --clean -n " .. host.NO_PYTHON
        .. " --cmd 'set rtp+=nvim'"
      .. " -c 'luafile spec/hosts/nvim_files.lua' </dev/null")
    for name, value in pairs({
      read = "one|two", unmodified = "true", modified = "true",
      written = "one/zwei/drei/", saved = "true", part = "zwei/drei/",
      format = "dos false", kept = "true", new = "python ", created = "pass/",
      listed = "in it", entered = "found", above = "true",
      before = "", chosen = "true", offered = "true", edits = "true",
      set_up = "true", again = "true", killed = "true",
      refused = "wrenn_nvim.setup: there is no option 'tmeout'",
      healthy = "true", stays = "true", finished = "true", exit = 0,
    }) do
      assert.are.equal(value, figures[name], name .. "\n" .. figures.text)
    end
    return figures
  end

  local function current_neovim()
    local said = compat.output_of("scripts/neovim.sh 2>&1")
    return said:match("([^\n]*/nvim)\n$")
      or pending("not run: there is no current Neovim here: " .. said)
  end

  -- The text of the last picture: colours and the cursor differ between versions.
  local function last_screen(path, said)
    local lines = {}
    local picture = host.read_file(path):match(".*(<g .*)")
    assert.is_string(picture, said)
    for line in picture:gmatch("<text.-</text>") do
      lines[#lines + 1] = line:gsub("<.->", ""):gsub("cl%-%w+", "cl-")
    end
    return table.concat(lines, "\n")
  end

  local function check_recording(program, name)
    local file = os.tmpname()
    local text = host.run(server, host.luajit_env() .. " WRENN_SCREEN=" .. file,
      ("%s --headless -u NONE -i NONE -c 'luafile scripts/record/%s.lua'"
        .. " </dev/null"):format(program, name)).text
    local screen = last_screen(file, text)
    assert.is_truthy(screen:find("42", 1, true), text)
    assert.are.equal(last_screen(("docs/%s.svg"):format(name)), screen, text)
    os.remove(file)
  end

  it("works in Debian's", function()
    check("nvim")
  end)

  -- Without walls the name of the host in it is another.
  walls.only(it, pending)("looks as in its recording", function()
    check_recording("nvim", "neovim")
  end)

  walls.only(it, pending)("shows the wrenn command as in its recording",
    function()
      check_recording("nvim", "cli")
    end)

  walls.only(it, pending)("looks like that in a current one", function()
    check_recording(current_neovim(), "neovim")
  end)

  it("works in a current one", function()
    local figures = check(current_neovim(), "WRENN_SPEC_SERVER=pylsp")
    assert.are.equal(
      "true,true,wrenn://cl-ID/tmp/app/main.py 2,true,true",
      table.concat({ figures.attached or "", figures.defined or "",
        (tostring(figures.place):gsub("cl%-%w+", "cl-ID")), figures.same or "",
        figures.stopped or "" }, ","), figures.text)
  end)
end)
