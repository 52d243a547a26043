-- Raw requests, and the answers that real servers have given to them: the control
-- plane, host agent and guest daemon of 0.1.4 and 0.1.5, and the newest
-- handlers. The answers of wrenn-local must be the same, byte for byte.

local generations = require("spec.support.generations")
local questions = require("spec.support.wire.questions")

-- The answer of any of them will do. What lies between generations does as
-- they do where they agree.
local observed = { ["0.1"] = { "0.1.4", "0.1.5" }, ["0.3"] = { "0.4" },
  ["0.4"] = { "0.4" } }
local between = { "0.1.4", "0.1.5", "0.4" }

-- A pause of the local server takes milliseconds: the answers that come in the
-- middle of a real one may come after it here.
local function as_pausing(name, text)
  if name == "pause again" or name:find("^paused ") then
    text = text:gsub('"status":"paused"', '"status":"pausing"')
  end
  return text
end

-- local/README.md says why.
local differs = { pause = "0.3 and 0.4: the size of the disk; 0.3: its memory" }

-- What has been observed of a question: a set of texts, how many there are,
-- and the first of them; nil when one of the servers has not been asked.
local function texts_of(name, list)
  local set, count, first = {}, 0, nil
  for _, answers in ipairs(list) do
    if not answers[name] then
      return
    end
    local text = table.concat(answers[name], "\n")
    if not set[text] then
      set[text], count, first = true, count + 1, first or text
    end
  end
  return set, count, first
end

generations.each(function(g)
  it("wrenn-local " .. g.name .. " answers as real servers do", function()
    local s = generations.start(g, "--user root") -- as those have been
    local asked = questions.ask(s, not g.binary)
    local list, wrong, compared = {}, {}, 0
    for i, version in ipairs(observed[g.name] or between) do
      list[i] = questions.observed(version)
    end
    for _, name in ipairs(questions.names) do
      local set, count, first = texts_of(name, list)
      local answer = as_pausing(name, table.concat(asked[name], "\n"))
      if set and (observed[g.name] or count == 1)
          and not (g.typed and differs[name]) then
        compared = compared + 1
        if not set[answer] then
          wrong[#wrong + 1] = ("%s: %s\n  instead of %s"):format(name, answer,
            first)
        end
      end
    end
    s:stop()
    assert.are.equal("", table.concat(wrong, "\n"))
    local least = g.typed and 85 or observed[g.name] and 95 or 25
    assert.is_true(compared >= least, "only " .. compared)
  end)
end)
