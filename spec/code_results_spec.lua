-- Results of code, from the messages of a kernel. There is no connection.

local messages = require("wrenn.code_runner.messages")
local results = require("wrenn.code_runner.results")

describe("a message of Jupyter's", function()
  it("is read from text and from a binary frame", function()
    local text = '{"header":{"msg_type":"stream"},"parent_header":'
      .. '{"msg_id":"m"},"content":{"text":"t"}}'
    local want = { type = "stream", parent = "m", content = { text = "t" } }
    assert.are.same(want, messages.decode(text))
    local function u32(n)
      return string.char(0, 0, math.floor(n / 256), n % 256)
    end
    assert.are.same(want,
      messages.decode(u32(1) .. u32(8) .. text, true))
    assert.are.same(want, messages.decode(u32(2) .. u32(12)
      .. u32(12 + #text) .. text .. "buffer", true))
  end)

  it("is nothing when it is malformed", function()
    for _, data in ipairs({ "", "\0", "\0\0\0\0", "\255\255\255\255\255\255\255"
      .. "\255", "\0\0\0\1\0\0\0\99", "\0\0\0\2\0\0\0\12", "{}", "null" }) do
      assert.is_nil(messages.decode(data, true))
    end
    for _, data in ipairs({ "", "x", "null", "5", '"x"' }) do
      assert.is_nil(messages.decode(data))
    end
    for _, data in ipairs({ "{}", "[]", '{"header":5,"content":"x"}',
      '{"parent_header":[],"header":null}' }) do
      assert.are.same({}, messages.decode(data).content)
    end
  end)
end)

describe("a result", function()
  it("has a field for each known format, in order", function()
    local bundle = {
      ["text/plain"] = "1", ["text/html"] = "2", ["text/markdown"] = "3",
      ["image/svg+xml"] = "4", ["image/png"] = "5", ["image/jpeg"] = "6",
      ["image/gif"] = "7", ["application/pdf"] = "8", ["text/latex"] = "9",
      ["application/json"] = { a = 1 }, ["application/javascript"] = "11",
      ["application/vnd.plotly.v1+json"] = { b = 2 },
      ["x/b"] = "13", ["x/a"] = "14",
    }
    local result = results.from_bundle(bundle, true)
    assert.are.same({ "text", "html", "markdown", "svg", "png", "jpeg", "gif",
      "pdf", "latex", "json", "javascript", "plotly", "x/a", "x/b" },
      result:formats())
    assert.are.same({ a = 1 }, result.json)
    assert.are.same({ ["x/b"] = "13", ["x/a"] = "14" }, result.extra)
    assert.is_true(result.is_main_result)
  end)

  it("keeps the text as it is", function()
    for _, text in ipairs({ "'hello'", '"hello"', "''", "'", "'it\\'s'",
      "{'a': 1}", "[1, 2, 3]" }) do
      assert.are.equal(text,
        results.from_bundle({ ["text/plain"] = text }).text)
    end
    local empty = results.from_bundle(nil)
    assert.are.same({}, empty:formats())
    assert.is_nil(empty.extra)
    assert.is_false(empty.is_main_result)
  end)
end)

describe("an execution", function()
  it("has the text of its first value, and no output but text", function()
    local execution = results.execution()
    local function take(kind, content)
      return results.take(execution, {}, { type = kind, content = content })
    end
    take("display_data", { data = { ["text/plain"] = "shown" } })
    for i, text in ipairs({ "one", "two" }) do
      take("execute_result", { execution_count = i,
        data = { ["text/plain"] = text } })
    end
    take("stream", { name = "stdout", text = 5 })
    take("stream", { name = "stderr", text = "e" })
    assert.are.same({ "one", 3, {}, { "e" } }, { execution.text,
      #execution.results, execution.logs.stdout, execution.logs.stderr })
    assert.is_true(take("status", { execution_state = "idle" }))
  end)
end)
