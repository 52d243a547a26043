-- The wrenn command's text for people, and how it chooses and fails.

local context = require("wrenn.cli.context")
local errors = require("wrenn.errors")
local exit = require("wrenn.cli.exit")
local layout = require("wrenn.cli.layout")

describe("the wrenn command's text", function()
  it("has the ages of dates, wherever they were written", function()
    assert.are.equal(0, layout.epoch("1970-01-01T00:00:00Z"))
    for _, text in ipairs({ "2024-02-29T23:00:00Z", "2024-02-29 23:00:00.5Z",
      "2024-03-01T00:30:00+01:30", "2024-02-29T17:00:00-0600" })
    do
      assert.are.equal(1709247600, layout.epoch(text), text)
    end
    for _, text in ipairs({ "", "soon", "2024-13-01T00:00:00Z" }) do
      assert.is_nil(layout.epoch(text))
    end
    local function age(seconds)
      return layout.age(os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() - seconds))
    end
    assert.are.same({ "0s", "10m", "3h", "4d" },
      { age(-60), age(630), age(3 * 3600 + 60), age(4 * 86400 + 60) })
  end)

  it("has sizes in the units that fit", function()
    assert.are.same({ "512M", "2G", "1536M", "1023 B", "1.5 KiB", "3.0 GiB" },
      { layout.megabytes(512), layout.megabytes(2048), layout.megabytes(1536),
        layout.bytes(1023), layout.bytes(1536), layout.bytes(3 * 2 ^ 30) })
  end)

  it("has columns of characters, and nothing for a terminal to do", function()
    local lines = {}
    layout.table({
      print = function(_, line)
        lines[#lines + 1] = line
      end,
      bold = function(_, text)
        return text
      end,
    }, { "A", "B" }, { { "\195\164\195\182", "x\27[31m\194\1555n\ny" },
      { "abc" } })
    assert.are.same({ "A    B", "\195\164\195\182   x [31m 5n y", "abc  -" },
      lines)
  end)

  it("names errors, and what may be done about them", function()
    local how = exit.describe(errors.new("AuthenticationError", "no", {
      status_code = 401, code = "unauthorized", request_id = "req_1" }))
    assert.are.same({ 125, " (HTTP 401, unauthorized, req_1)" },
      { how.status, how.notes })
    assert.is_truthy(how.hint:find("WRENN_API_KEY", 1, true))
    assert.are.equal(124,
      exit.describe(errors.new("TimeoutError", "late")).status)
  end)
end)

describe("the wrenn command's context", function()
  local ctx

  before_each(function()
    ctx = context.new("")
    ctx.report = function() end
  end)

  it("chooses by id, by name, and by the beginning of one id", function()
    local list = { { id = "vl-12" }, { id = "vl-13", name = "cache" },
      { id = "vl-2", name = "12" } }
    for text, id in pairs({ cache = "vl-13", ["vl-12"] = "vl-12",
      ["2"] = "vl-2", ["13"] = "vl-13" })
    do
      assert.are.equal(id, ctx:choose(list, text, "volume").id, text)
    end
    for text, what in pairs({ vl = "the beginning of 3 volumes' ids",
      cach = "there is no volume 'cach'", [""] = "there is no volume ''" })
    do
      local ok, raised = pcall(ctx.choose, ctx, list, text, "volume")
      assert.is_false(ok)
      assert.is_truthy(tostring(raised):find(what, 1, true), tostring(raised))
    end
  end)

  it("goes on after a failure, whose status it keeps", function()
    local seen = {}
    local status = ctx:for_each({ 1, 124, 125, 2 }, function(item)
      seen[#seen + 1] = item
      if item > 2 then
        exit.raise(item, "failed")
      end
    end)
    assert.are.same({ 124, { 1, 124, 125, 2 } }, { status, seen })
    for _, last in ipairs({ exit.CLOSED_PIPE, exit.INTERRUPTED }) do
      local ok, raised = pcall(ctx.for_each, ctx, { 1, 2 }, function()
        exit.raise(last)
      end)
      assert.is_false(ok)
      assert.are.equal(last, raised.status)
    end
  end)
end)
