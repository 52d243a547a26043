-- Writes a document as a man page.

local markdown = require("scripts.docs.markdown")

local man = {}

-- An ellipsis is not in every encoding that pages are shown in.
local function escape(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("…", "...")
    :gsub("\n([.'])", "\n\\&%1"):gsub("^([.'])", "\\&%1"))
end

local FONTS = { code = "\\fB", strong = "\\fB", em = "\\fI" }

local function inline(text)
  local out = {}
  for _, piece in ipairs(markdown.pieces(text)) do
    if type(piece) == "string" then
      out[#out + 1] = escape(piece)
    elseif piece.kind == "link" or piece.kind == "image" then
      out[#out + 1] = inline(piece.text)
    else
      out[#out + 1] = FONTS[piece.kind] .. (piece.kind == "code"
        and escape(piece.text) or inline(piece.text)) .. "\\fR"
    end
  end
  -- A line that begins with a font and then a dot is no request.
  return (table.concat(out):gsub("\n +", "\n"))
end

local render

local function render_list(block, out)
  for number, item in ipairs(block.items) do
    out[#out + 1] = block.ordered and (".IP %d. 4"):format(number)
      or ".IP \\(bu 2"
    if #item > 1 then
      out[#out + 1] = inline(item[1].text or "")
      out[#out + 1] = ".RS"
      render({ table.unpack(item, 2) }, out)
      out[#out + 1] = ".RE"
    else
      out[#out + 1] = inline(item[1].text)
    end
  end
end

-- A table of two columns is a list of terms. In others each row is one, with
-- the cells behind the first by the names of their columns.
local function render_table(block, out)
  local head = block.rows[1]
  for number = 2, #block.rows do
    local row = block.rows[number]
    out[#out + 1] = ".TP\n" .. inline(row[1])
    if #row == 2 then
      out[#out + 1] = row[2] ~= "" and inline(row[2]) or "\\&"
    else
      local cells = {}
      for i = 2, #row do
        cells[#cells + 1] = inline((head[i] ~= "" and head[i] .. ": " or "")
          .. row[i])
      end
      out[#out + 1] = table.concat(cells, "; ")
    end
  end
end

function render(blocks, out)
  for _, block in ipairs(blocks) do
    if block.kind == "heading" then
      local plain = escape(markdown.plain(block.text)):gsub('"', '\\(dq')
      out[#out + 1] = block.level <= 2 and ('.SH "%s"'):format(plain:upper())
        or ('.SS "%s"'):format(plain)
    elseif block.kind == "text" then
      out[#out + 1] = ".PP\n" .. inline(block.text)
    elseif block.kind == "code" then
      out[#out + 1] = ".PP\n.RS 4\n.nf\n" .. escape(block.text) .. "\n.fi\n.RE"
    elseif block.kind == "list" then
      render_list(block, out)
    else
      render_table(block, out)
    end
  end
end

--- Returns the text of a page. `page`: name, section, summary, and the blocks of
--- the document, whose title is left out.
function man.page(page, version)
  local out = {
    '.\\" Made by `make docs`.',
    ('.TH %s %s "" "wrenn %s"'):format(page.name:upper(), page.section,
      version),
    ".SH NAME", escape(page.name) .. " \\- " .. escape(page.summary),
  }
  local blocks = page.blocks
  if blocks[2] and blocks[2].kind ~= "heading" then
    out[#out + 1] = ".SH DESCRIPTION"
  end
  render({ table.unpack(blocks, 2) }, out)
  return table.concat(out, "\n") .. "\n"
end

return man
