-- Parses the output of git into tables. No I/O.

local parse = {}

-- A text with another end has been cut.
local function is_whole(text, last)
  return text == "" or text:sub(-1) == last
end

-- Iterates over the pieces of a text, each ending with a NUL byte.
local function pieces(text)
  return text:gmatch("([^%z]*)%z")
end

-- ---- status ----------------------------------------------------------------

local words_of_status = {
  { "R", "renamed" }, { "C", "copied" }, { "D", "deleted" }, { "A", "added" },
  { "M", "modified" }, { "T", "typechange" },
}

local function status_word(letters)
  for _, pair in ipairs(words_of_status) do
    if letters:find(pair[1], 1, true) then
      return pair[2]
    end
  end
  return "unknown"
end

local function changed(letters, path, renamed_from)
  letters = letters:gsub("%.", " ")
  local index = letters:sub(1, 1)
  return {
    path = path,
    index_status = index,
    work_tree_status = letters:sub(2, 2),
    renamed_from = renamed_from,
    staged = index ~= " ",
    status = status_word(letters),
  }
end

-- The number of fields before the path, by the kind of the entry.
local fields = { ["1"] = 7, ["2"] = 8, ["u"] = 9 }

-- Parses an entry; the old name of a renamed one is the piece after it.
local function entry(piece, next_piece)
  local kind = piece:sub(1, 1)
  if kind == "?" then
    local untracked = piece:match("^%? (.+)$")
    return untracked and { path = untracked, index_status = "?",
      work_tree_status = "?", staged = false, status = "untracked" }
  end
  local count = fields[kind]
  local letters, path = piece:match("^. (%S%S)"
    .. (" %S+"):rep((count or 0) - 1) .. " (.+)$")
  if not count or not letters then
    return nil
  elseif kind == "u" then
    return { path = path, index_status = letters:sub(1, 1),
      work_tree_status = letters:sub(2, 2), staged = false,
      status = "conflict" }
  end
  local renamed_from = kind == "2" and next_piece() or nil
  if kind == "2" and (renamed_from or "") == "" then
    return nil
  end
  return changed(letters, path, renamed_from)
end

local function header(status, piece)
  local name, value = piece:match("^# branch%.(%S+) (.+)$")
  if name == "oid" then
    status.commit = value ~= "(initial)" and value or nil
  elseif name == "head" then
    status.detached = value == "(detached)"
    status.branch = not status.detached and value or nil
  elseif name == "upstream" then
    status.upstream = value
  elseif name == "ab" then
    local ahead, behind = value:match("^%+(%d+) %-(%d+)$")
    status.ahead, status.behind = tonumber(ahead) or 0, tonumber(behind) or 0
  end
end

--- Parses `git status --porcelain=v2 --branch -z`. Returns the status, or nil
--- if it is something else.
function parse.status(text)
  if not is_whole(text, "\0") then
    return nil
  end
  local status = { ahead = 0, behind = 0, detached = false, files = {},
    has_staged = false, has_untracked = false, has_conflicts = false }
  local next_piece = pieces(text)
  for piece in next_piece do
    if piece:find("^#") then
      header(status, piece)
    else
      local file = entry(piece, next_piece)
      if not file then
        return nil
      end
      status.files[#status.files + 1] = file
      status.has_staged = status.has_staged or file.staged
      status.has_untracked = status.has_untracked or file.status == "untracked"
      status.has_conflicts = status.has_conflicts or file.status == "conflict"
    end
  end
  if status.detached and status.commit then
    status.branch = status.commit:sub(1, 7)
  end
  status.is_clean = #status.files == 0
  return status
end

-- ---- branches --------------------------------------------------------------

-- Ref names contain no control characters: a tab and a newline suffice.
parse.BRANCHES = "%(refname:lstrip=2)\t%(HEAD)"

--- Parses the lines of that format; nil if the last one is incomplete.
function parse.branches(text)
  if not is_whole(text, "\n") then
    return nil
  end
  local list = {}
  for name, head in text:gmatch("([^\t\n]+)\t([^\n]*)\n") do
    list[#list + 1] = { name = name, is_current = head == "*" }
  end
  return list
end

-- ---- log -------------------------------------------------------------------

local log_fields = { "hash", "short_hash", "author_name", "author_email",
  "date", "timestamp", "parents", "refs", "subject", "body" }

parse.LOG = "%H%x00%h%x00%an%x00%ae%x00%aI%x00%at%x00%P%x00%D%x00%s%x00%b"

local function split(text, pattern)
  local list = {}
  for item in text:gmatch(pattern) do
    list[#list + 1] = item
  end
  return list
end

--- Parses `git log -z` of that format. Returns the commits, or nil if the text
--- ends inside one.
function parse.log(text)
  local list, commit, i = {}, {}, 0
  for piece in pieces(text) do
    i = i + 1
    commit[log_fields[i]] = piece
    if i == #log_fields then
      commit.timestamp = tonumber(commit.timestamp)
      commit.parents = split(commit.parents, "%S+")
      -- "HEAD -> main, tag: v1": ref names contain no spaces.
      commit.refs = split(commit.refs:gsub(" %-> ", ", ") .. ", ", "(.-), ")
      commit.body = commit.body:gsub("\n+$", "")
      list[#list + 1] = commit
      commit, i = {}, 0
    end
  end
  return i == 0 and is_whole(text, "\0") and list or nil
end

--- Parses a list of names, each ending with a NUL byte; nil if it is cut.
function parse.names(text)
  return is_whole(text, "\0") and split(text, "([^%z]+)%z") or nil
end

return parse
