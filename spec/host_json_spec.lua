-- JSON is sound in every host: in Debian's Neovim, in one as its makers build
-- it, and where a program has configured its cjson or brings a broken one.

local compat = require("spec.support.compat")
local host = require("spec.support.host")
local servers = require("spec.support.server")

local DEBIAN = "$(echo /usr/lib/*-linux-gnu/lua/5.1)/?.so"

describe("JSON", function()
  local server

  setup(function()
    server = servers.start()
  end)

  teardown(function()
    server:stop()
  end)

  local function check_nvim(program)
    local env = host.luajit_env():gsub(';;"$', ";" .. DEBIAN .. ';;"')
    local figures = host.run(server, env, program
      .. " --headless -u NONE -i NONE -c 'luafile spec/hosts/nvim_json.lua'")
    local text = figures.text
    assert.are.equal("/root/x,/bin/sh,true,{},0.25", figures.encoded, text)
    assert.are.equal("false", figures.with_cjson, text)
    assert.are.equal("[0.123456789]", figures.precise, text)
    assert.are.equal("false", figures.sparse, text)
    assert.are.equal("true", figures.removed, text)
    assert.are.equal("b/", figures.ran, text)
    assert.is_truthy(figures.refused:find("ConfigurationError: no sound JSON:"
      .. " vim.json does not encode", 1, true), text)
    assert.are.equal("true", figures.finished, text)
    assert.are.equal(0, figures.exit, text)
    return figures
  end

  it("is sound in Debian's Neovim", function()
    check_nvim("nvim")
  end)

  it("is sound in a current Neovim", function()
    local said = compat.output_of("scripts/neovim.sh 2>&1")
    local program = said:match("([^\n]*/nvim)\n$")
    if not program then
      pending("not run: there is no current Neovim here: " .. said)
    end
    assert.are.equal(11, check_nvim(program).version)
  end)

  it("is not as the program has configured it", function()
    local figures = host.run(server, "", host.lua .. [[ -e '
      local cjson = require("cjson")
      cjson.encode_number_precision(1)
      cjson.encode_sparse_array(true)
      local json = require("wrenn.wire.json")
      print("precise " .. json.encode({ 0.123456789 }))
      print("sparse " .. tostring((pcall(json.encode, { [1000] = 1 }))))
    ']])
    assert.are.equal("[0.123456789]", figures.precise, figures.text)
    assert.are.equal("false", figures.sparse, figures.text)
  end)

  it("that is broken or absent is an error before any request", function()
    local code = [[ -e '
      %s
      local client, err = require("wrenn").Client()
      print("refused " .. tostring(client) .. " " .. tostring(err))
    ']]
    local figures = host.run(server, "", host.lua .. code:format([[
      local cjson = require("cjson")
      cjson.new = function()
        return { encode_sparse_array = print, encode = function(value)
          return (cjson.encode(value):gsub("bin", ""))
        end }
      end]]))
    assert.is_truthy(figures.refused:find("nil ConfigurationError: no sound"
      .. " JSON: lua-cjson does not encode", 1, true), figures.text)
    figures = host.run(server, "", host.lua .. code:format([[
      package.preload.cjson = function() error("not here", 0) end]]))
    assert.is_truthy(figures.refused:find("nil ConfigurationError: no sound"
      .. " JSON: the module cjson cannot be loaded", 1, true), figures.text)
  end)
end)
