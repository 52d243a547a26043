-- The wrenn command: code. Jupyter is a scripted peer.

local cli = require("spec.support.cli")
local core = require("wrenn.core")
local disk = require("spec.support.disk")
local jupyter = require("spec.support.jupyter")

local ID = "cl-" .. ("1"):rep(25)

-- The kernel knows these words. A picture is "PNG", in base64 with line ends.
local KERNEL = [[
  log("cell: " .. code)
  if code:find("print") then
    say(id, "stream", { name = "stdout", text = "out\n" })
    say(id, "stream", { name = "stderr", text = "err\n" })
  end
  if code:find("plot") then
    say(id, "display_data", { data = { ["text/plain"] = "<Figure>",
      ["text/html"] = "<p>", ["image/png"] = "UE5\nH\n",
      ["image/svg+xml"] = "<svg/>" } })
  end
  if code:find("value") then
    say(id, "execute_result", { execution_count = runs,
      data = { ["text/plain"] = "42" } })
  end
  if code:find("boom") then
    say(id, "error", { ename = "ValueError", evalue = "boom",
      traceback = { "in cell", "ValueError: boom" } })
  end
  if not code:find("sleep") then idle(id) end
]]

describe("wrenn code", function()
  local p, folder

  setup(function()
    p = jupyter({ exec = KERNEL })
    folder = disk.folder() .. "/"
  end)

  teardown(function()
    p:stop()
    os.execute("rm -rf " .. folder)
  end)

  local function run(name, text, options)
    disk.write(folder .. name, text)
    return cli.run({ url = p.url, key = "wrn_test" }, ("code %s %s %s")
      :format(ID, options or "", name == "stdin" and "-" or folder .. name),
      { stdin = name == "stdin" and folder .. name or nil })
  end

  -- The cells that have been run since the last call.
  local told = 0
  local function cells()
    local list, new = p:received(), {}
    for i = told + 1, #list do
      new[#new + 1] = list[i]:match("^cell: (.*)$")
    end
    told = #list
    return new
  end

  it("runs a script's cells, and prints what they print", function()
    local result = run("a.py", "print\n# %% one\nvalue\n\n#%%\n\n# %%\nx = 1\n")
    assert.are.same({ "out\n42\n", "err\n", 0 },
      { result.out, result.err, result.status })
    assert.are.same({ "print", "# %% one\nvalue\n", "# %%\nx = 1" }, cells())
    result = run("stdin", "value")
    assert.are.equal("42\n", result.out)
    assert.are.same({ "value" }, cells())
  end)

  it("runs a notebook's code", function()
    local result = run("b.ipynb", [[{"cells": [
      {"cell_type": "markdown", "source": "print"},
      {"cell_type": "code", "source": ["value\n", "# more"]},
      {"cell_type": "code", "source": "print"}]}]])
    assert.are.same({ "42\nout\n", 0 }, { result.out, result.status })
    assert.are.same({ "value\n# more", "print" }, cells())
    result = run("c.ipynb", "[]")
    assert.are.same({ "wrenn code: FILE: it is no notebook\n", 125 },
      { result.err, result.status })
  end)

  it("writes plots to files", function()
    local result = run("d.py", "plot\n# %%\nplot value", "-o " .. folder)
    -- The value of a cell with a plot only names that.
    assert.are.same({ "", 0 }, { result.out, result.status })
    assert.are.equal("PNG", disk.read(folder .. "plot-1.png"))
    assert.are.equal("<svg/>", disk.read(folder .. "plot-2.svg"))
    assert.is_truthy(result.err:find("wrote .*plot%-2%.png\n"), result.err)
    assert.is_nil(io.open(folder .. "plot-1.html"))
    result = run("d.py", "plot", "-o /nonexistent")
    assert.are.equal(125, result.status)
    assert.is_truthy(result.err:find("a plot cannot be written", 1, true))
    cells()
  end)

  it("ends with the first cell that fails, or takes too long", function()
    local result = run("e.py", "print\n# %%\nboom\n# %%\nvalue")
    assert.are.same({ "out\n", "err\nin cell\nValueError: boom\n", 1 },
      { result.out, result.err, result.status })
    assert.are.same({ "print", "# %%\nboom" }, cells())
    result = run("f.py", "sleep\n# %%\nvalue", "--timeout 0.5")
    assert.are.same({ "", 124 }, { result.out, result.status })
    assert.are.same({ "sleep" }, cells())
  end)

  it("tells all of a cell as JSON", function()
    local result = run("g.py", "print plot value\n# %%\nboom",
      "--json -o " .. folder)
    assert.are.equal(1, result.status)
    local first, second = result.out:match("^([^\n]+)\n([^\n]+)\n$")
    first, second = core.json(first), core.json(second)
    assert.are.same({ 1, "42", "out\n", "err\n", 2 }, { first.cell, first.text,
      first.stdout, first.stderr, #first.files })
    assert.are.same({ 2, "ValueError", "boom" },
      { second.cell, second.error.name, second.error.value })
    assert.are.equal("", result.err)
  end)
end)
