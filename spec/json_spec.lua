-- The core's JSON decoder.

local core = require("wrenn.core")

describe("a JSON text", function()
  it("becomes what it says", function()
    local value = core.json([[ {"a": [1, -2.5, 1e3, true, false, "x"],
      "b": {"c": {}, "d": []}, "e": "a\"\\\/\n\u00e9\ud83d\ude00"} ]])
    assert.are.same({
      a = { 1, -2.5, 1000, true, false, "x" }, b = { c = {}, d = {} },
      e = "a\"\\/\n\195\169\240\159\152\128",
    }, value)
  end)

  it("is one value of any kind", function()
    assert.are.equal(3, core.json("3"))
    assert.are.equal("0", tostring(core.json("-0")))
    assert.are.equal("x", core.json('"x"'))
    assert.are.equal(false, core.json("false"))
    assert.are.equal(0, select("#", core.json("null")) - 1)
    assert.is_nil(core.json("null"))
  end)

  it("has integers for whole numbers where the language has them", function()
    if not math.type then -- luacheck: ignore 143
      return
    end
    for _, text in ipairs({ "1", "3.0", "1e3", "9223372036854775807" }) do
      assert.are.equal("integer", math.type(core.json(text)), text)
    end
    assert.are.equal("float", math.type(core.json("9223372036854775808")))
  end)

  it("has null for nothing", function()
    assert.are.same({ b = 1 }, core.json('{"a":null,"b":1}'))
    assert.are.same({ b = 1 }, core.json('{"a":1,"a":null,"b":1}'))
    local list = core.json("[1,null,3]")
    assert.is_nil(list[2])
    assert.are.equal(3, list[3])
  end)

  it("says the last word of a name that comes twice", function()
    assert.are.same({ a = 2 }, core.json('{"a":1,"a":2}'))
  end)

  it("holds containers of any length, at any depth that is sane", function()
    local list, members = {}, {}
    for i = 1, 100 do
      list[i] = i
      members[i] = ('"k%d":[%d]'):format(i, i)
    end
    assert.are.same(list, core.json("[" .. table.concat(list, ",") .. "]"))
    local object = core.json("{" .. table.concat(members, ",") .. "}")
    for i = 1, 100 do
      assert.are.same({ i }, object["k" .. i])
    end
    local value = core.json(("[2,"):rep(900) .. "1" .. ("]"):rep(900))
    for _ = 1, 899 do
      value = value[2]
    end
    assert.are.same({ 2, 1 }, value)
  end)

  it("is refused when it is none", function()
    for text, why in pairs({
      [""] = "JSON ends too early", ["[1"] = "JSON ends too early",
      ['{"a":1'] = "JSON ends too early", ['"x'] = "JSON ends too early",
      ["nul"] = "unknown word", ["1 2"] = "something follows the JSON value",
      ["[] x"] = "something follows the JSON value",
      ['{"a" 1}'] = "a colon is missing", ["[1 2]"] = "a comma is missing",
      ["{a:1}"] = "a member name is not a string",
      ["[1}"] = "a comma is missing", ["[01]"] = "malformed number",
      ["[NaN]"] = "malformed number", ['"\255"'] = "invalid UTF-8 in a string",
      ['"\1"'] = "control character in a string",
      [("["):rep(1001)] = "JSON is nested too deeply",
      [("1"):rep(2000)] = "a number is too long",
    }) do
      local value, said = core.json(text)
      assert.is_nil(value, text)
      assert.are.equal(why, said, text)
    end
  end)
end)

describe("the fields of an object", function()
  it("fit their kinds, or the first that does not is named", function()
    local fields = { "a", "string", "b", "?number", "c", "text", "d", "?table",
      "e", "boolean", "f", "" }
    local function misfits(object)
      local list, at = {}, core.misfit(object, fields, 1)
      while at do
        list[#list + 1] = fields[2 * at - 1]
        at = core.misfit(object, fields, at + 1)
      end
      return table.concat(list, " ")
    end
    assert.are.equal("f", misfits({ a = "", b = 1, c = "x", d = {}, e = false,
      f = 1 }))
    assert.are.equal("f", misfits({ a = "x", c = "x", e = true, f = "x" }))
    assert.are.equal("a b c d e f", misfits({ a = 1, b = "1", c = "", d = 1,
      e = "true" }))
    assert.are.equal("a c e f", misfits({}))
  end)
end)
