-- The Neovim plugin's files, choices, options, health and language servers, in
-- Debian's Neovim and in a current one.

local compat = require("spec.support.compat")
local host = require("spec.support.host")
local servers = require("spec.support.server")

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
      program .. " --headless --clean -n --cmd 'set rtp+=nvim'"
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

  it("works in Debian's", function()
    check("nvim")
  end)

  it("works in a current one", function()
    local said = compat.output_of("scripts/neovim.sh 2>&1")
    local program = said:match("([^\n]*/nvim)\n$")
    if not program then
      pending("not run: there is no current Neovim here: " .. said)
    end
    local figures = check(program, "WRENN_SPEC_SERVER=pylsp")
    assert.are.equal(
      "true,true,wrenn://cl-ID/tmp/app/main.py 2,true,true",
      table.concat({ figures.attached or "", figures.defined or "",
        (tostring(figures.place):gsub("cl%-%w+", "cl-ID")), figures.same or "",
        figures.stopped or "" }, ","), figures.text)
  end)
end)
