-- Reads the Markdown that the documents here use, into blocks:
--   {kind = "heading", level =, text =}, {kind = "text", text =},
--   {kind = "code", language =, text =}, {kind = "list", ordered =, items =},
--   {kind = "table", rows =}, the first of which is the head
-- and texts into pieces: a string, or {kind = "code"|"strong"|"em", text =} or
-- {kind = "link"|"image", text =, target =}.

local markdown = {}

local function new_reader(text)
  local lines = {}
  for line in (text:gsub("<!%-%-.-%-%->", "") .. "\n"):gmatch("(.-)\n") do
    lines[#lines + 1] = line
  end
  return { lines = lines, at = 1 }
end

local LIST = "^(%s*)([-*%d]+%.?)%s+()"

local function list_mark(line)
  local indent, mark, start = line:match(LIST)
  if mark and (mark == "-" or mark == "*" or mark:find("^%d+%.$")) then
    return #indent, mark, start - 1
  end
end

local function ends_text(line)
  return line == "" or line:find("^#+ ") or line:find("^```")
    or line:find("^|") or list_mark(line)
end

local blocks_of

local function read_code(reader, line)
  local block = { kind = "code", language = line:match("^```(%w*)") }
  local lines = {}
  reader.at = reader.at + 1
  while reader.lines[reader.at] and reader.lines[reader.at] ~= "```" do
    lines[#lines + 1] = reader.lines[reader.at]
    reader.at = reader.at + 1
  end
  reader.at = reader.at + 1
  block.text = table.concat(lines, "\n")
  return block
end

local function read_indented(reader)
  local lines = {}
  while (reader.lines[reader.at] or ""):find("^    ") do
    lines[#lines + 1] = reader.lines[reader.at]:sub(5)
    reader.at = reader.at + 1
  end
  return { kind = "code", language = "", text = table.concat(lines, "\n") }
end

local function read_table(reader)
  local block = { kind = "table", rows = {} }
  while (reader.lines[reader.at] or ""):find("^|") do
    local line = reader.lines[reader.at]:gsub("\\|", "\1")
    reader.at = reader.at + 1
    if not line:find("^|[%s:|-]+$") then
      local row = {}
      for cell in line:sub(2):gmatch("%s*([^|]*)|") do
        row[#row + 1] = cell:gsub("%s+$", ""):gsub("\1", "|")
      end
      table.insert(block.rows, row)
    end
  end
  return block
end

local function read_list(reader)
  local _, first = list_mark(reader.lines[reader.at])
  local block = { kind = "list", ordered = first:find("%d") ~= nil, items = {} }
  while true do
    local line = reader.lines[reader.at] or ""
    local indent, _, width = list_mark(line)
    if not indent then
      break
    end
    local item = { line:sub(width + 1) }
    reader.at = reader.at + 1
    while true do -- what is indented belongs to it
      local more = reader.lines[reader.at]
      local next_line = reader.lines[reader.at + 1]
      if more and more:find("^" .. (" "):rep(indent + 2)) then
        item[#item + 1] = more:sub(math.min(width, #more:match("^ *")) + 1)
      elseif more == "" and next_line
        and next_line:find("^" .. (" "):rep(indent + 2))
      then
        item[#item + 1] = ""
      else
        break
      end
      reader.at = reader.at + 1
    end
    table.insert(block.items, blocks_of(table.concat(item, "\n")))
    if reader.lines[reader.at] == ""
      and list_mark(reader.lines[reader.at + 1] or "")
    then
      reader.at = reader.at + 1
    end
  end
  return block
end

local function read_text(reader)
  local lines = {}
  repeat
    lines[#lines + 1] = reader.lines[reader.at]
    reader.at = reader.at + 1
  until ends_text(reader.lines[reader.at] or "")
  return { kind = "text", text = table.concat(lines, "\n") }
end

function blocks_of(text)
  local reader, blocks = new_reader(text), {}
  while reader.lines[reader.at] do
    local line = reader.lines[reader.at]
    local level, heading = line:match("^(#+) (.*)$")
    local block
    if line == "" then
      reader.at = reader.at + 1
    elseif level then
      block = { kind = "heading", level = #level, text = heading }
      reader.at = reader.at + 1
    elseif line:find("^```") then
      block = read_code(reader, line)
    elseif line:find("^    ") then
      block = read_indented(reader)
    elseif line:find("^|") then
      block = read_table(reader)
    elseif list_mark(line) then
      block = read_list(reader)
    else
      block = read_text(reader)
    end
    blocks[#blocks + 1] = block
  end
  return blocks
end

markdown.blocks = blocks_of

-- Each with the kind and what the pattern finds after it.
local INLINE = {
  { "^(`+)(.-)%1()", "code" },
  { "^(!)%[(.-)%]%((.-)%)()", "image" },
  { "^()%[(.-)%]%((.-)%)()", "link" },
  { "^(%*%*)(.-)%*%*()", "strong" },
  { "^(%*)([^%s*].-)%*()", "em" },
}

--- Splits a text into its pieces.
function markdown.pieces(text)
  local pieces, plain, at = {}, {}, 1
  local function flush()
    if #plain > 0 then
      pieces[#pieces + 1] = table.concat(plain)
      plain = {}
    end
  end
  while at <= #text do
    local found
    for _, one in ipairs(INLINE) do
      local mark, inside, target, stop = text:match(one[1], at)
      if mark and not found then
        found = { kind = one[2], text = inside }
        if stop then
          found.target = target
        else
          stop = target
        end
        flush()
        pieces[#pieces + 1] = found
        at = stop
      end
    end
    if not found then
      local c = text:match("^\\(%p)", at)
      plain[#plain + 1] = c or text:sub(at, at)
      at = at + (c and 2 or 1)
    end
  end
  flush()
  return pieces
end

--- A text without its markup.
function markdown.plain(text)
  local list = {}
  for _, piece in ipairs(markdown.pieces(text)) do
    list[#list + 1] = type(piece) == "string" and piece
      or piece.kind == "code" and piece.text or markdown.plain(piece.text)
  end
  return table.concat(list)
end

--- The anchor of a heading, as on GitHub.
function markdown.anchor(heading)
  return (markdown.plain(heading):lower():gsub("[^%w%s_-]", "")
    :gsub("%s", "-"))
end

return markdown
