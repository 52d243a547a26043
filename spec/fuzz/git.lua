-- The output of git: whatever it is, the parsers return what they promise, or
-- nil.

local parse = require("wrenn.git.parse")

local function is_text(value)
  return type(value) == "string" and value ~= ""
end

local function status(text)
  local found = parse.status(text)
  if not found then
    return
  end
  assert(found.is_clean == (#found.files == 0))
  assert(type(found.ahead) == "number")
  assert(type(found.behind) == "number")
  local conflicts, untracked, staged = false, false, false
  for _, file in ipairs(found.files) do
    assert(is_text(file.path), "no path")
    assert(not file.path:find("\0", 1, true), "a path with a NUL")
    assert(is_text(file.status), "no status")
    assert(#file.index_status == 1 and #file.work_tree_status == 1, "letters")
    assert(file.renamed_from == nil or is_text(file.renamed_from), "old name")
    conflicts = conflicts or file.status == "conflict"
    untracked = untracked or file.status == "untracked"
    staged = staged or file.staged
  end
  assert(found.has_conflicts == conflicts)
  assert(found.has_untracked == untracked)
  assert(found.has_staged == staged)
end

local function log(text)
  for _, commit in ipairs(parse.log(text) or {}) do
    for _, field in ipairs({ "hash", "short_hash", "author_name", "date",
      "subject", "body" }) do
      assert(type(commit[field]) == "string", field)
    end
    assert(type(commit.parents) == "table" and type(commit.refs) == "table")
    assert(commit.timestamp == nil or type(commit.timestamp) == "number")
  end
end

return {
  words = { "\0", "\t", "\n", "1 ", "2 ", "u ", "? ", "! ", "# branch.head ",
    "# branch.oid ", "# branch.ab +1 -1", "(detached)", "(initial)", "N... ",
    "100644 ", "R100 ", ".M ", "UU ", "*", " -> ", ", ", "HEAD" },
  run = function(text)
    status(text)
    log(text)
    for _, branch in ipairs(parse.branches(text) or {}) do
      assert(is_text(branch.name) and not branch.name:find("[\t\n]"))
      assert(type(branch.is_current) == "boolean")
    end
    for _, name in ipairs(parse.names(text) or {}) do
      assert(is_text(name) and not name:find("\0", 1, true))
    end
  end,
}
