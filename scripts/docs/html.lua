-- Writes documents as one site of HTML pages that need nothing but each other.

local markdown = require("scripts.docs.markdown")

local html = {}

local STYLE = [[
:root { color-scheme: light dark; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; }
nav { padding: 1em; }
nav ul { list-style: none; padding: 0; }
main { padding: 0 1.5em 4em; max-width: 48em; overflow-wrap: break-word; }
@media (min-width: 60em) {
  body { display: grid; grid-template-columns: 17em 1fr; }
  nav { position: sticky; top: 0; height: 100vh; overflow: auto;
    box-sizing: border-box; }
}
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { padding: 0.8em; overflow-x: auto; background: #8882; }
table { border-collapse: collapse; }
td, th { border: 1px solid #8886; padding: 0.2em 0.5em; text-align: left;
  vertical-align: top; }
h3 { margin-top: 2em; }
img { max-width: 100%; }
]]

local function escape(text)
  return (text:gsub('[&<>"]',
    { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

local TAGS = { code = "code", strong = "strong", em = "em" }

-- `link` makes the target of a link of this page.
local function inline(text, link)
  local out = {}
  for _, piece in ipairs(markdown.pieces(text)) do
    if type(piece) == "string" then
      out[#out + 1] = escape(piece)
    elseif piece.kind == "link" then
      out[#out + 1] = ('<a href="%s">%s</a>'):format(escape(link(piece.target)),
        inline(piece.text, link))
    elseif piece.kind == "image" then
      out[#out + 1] = ('<img src="%s" alt="%s">'):format(
        escape(link(piece.target)), escape(piece.text))
    else
      local tag = TAGS[piece.kind]
      out[#out + 1] = ("<%s>%s</%s>"):format(tag, piece.kind == "code"
        and escape(piece.text) or inline(piece.text, link), tag)
    end
  end
  return table.concat(out)
end

local render

local function render_list(block, out, link)
  local tag = block.ordered and "ol" or "ul"
  out[#out + 1] = "<" .. tag .. ">"
  for _, item in ipairs(block.items) do
    out[#out + 1] = "<li>"
    if #item == 1 and item[1].kind == "text" then
      out[#out + 1] = inline(item[1].text, link)
    else
      render(item, out, link)
    end
    out[#out + 1] = "</li>"
  end
  out[#out + 1] = "</" .. tag .. ">"
end

local function render_table(block, out, link)
  out[#out + 1] = "<table>"
  for number, row in ipairs(block.rows) do
    local cell = number == 1 and "th" or "td"
    local cells = {}
    for _, text in ipairs(row) do
      cells[#cells + 1] = ("<%s>%s</%s>"):format(cell, inline(text, link), cell)
    end
    out[#out + 1] = "<tr>" .. table.concat(cells) .. "</tr>"
  end
  out[#out + 1] = "</table>"
end

function render(blocks, out, link)
  for _, block in ipairs(blocks) do
    if block.kind == "heading" then
      out[#out + 1] = ('<h%d id="%s">%s</h%d>'):format(block.level,
        markdown.anchor(block.text), inline(block.text, link), block.level)
    elseif block.kind == "text" then
      out[#out + 1] = "<p>" .. inline(block.text, link) .. "</p>"
    elseif block.kind == "code" then
      out[#out + 1] = "<pre><code>" .. escape(block.text) .. "</code></pre>"
    elseif block.kind == "list" then
      render_list(block, out, link)
    else
      render_table(block, out, link)
    end
  end
end

local function menu(pages, current)
  local out = { "<nav><ul>" }
  for _, page in ipairs(pages) do
    out[#out + 1] = page == current
      and ("<li><strong>%s</strong></li>"):format(escape(page.title))
      or ('<li><a href="%s">%s</a></li>'):format(page.file, escape(page.title))
  end
  out[#out + 1] = "</ul></nav>"
  return table.concat(out, "\n")
end

--- Returns the text of a page: {title =, file =, blocks =}, one of `pages`.
--- `link(target)` is where a link of it leads in the site.
function html.page(page, pages, link)
  local out = {}
  render(page.blocks, out, link)
  return table.concat({
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width">',
    "<title>" .. escape(page.title) .. "</title>",
    "<style>\n" .. STYLE .. "</style>\n</head>\n<body>",
    menu(pages, page), "<main>", table.concat(out, "\n"),
    "</main>\n</body>\n</html>\n",
  }, "\n")
end

return html
