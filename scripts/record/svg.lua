-- Pictures of a screen, one after the other, as one SVG that moves. What does
-- not know animation shows the last of them.

local svg = {}

local WIDTH, HEIGHT, SIZE = 8.43, 17, 14 -- of a cell, and of its letters
local MARGIN = 8

-- Spaces that stay, whatever a viewer makes of others.
local function escape(text)
  return (text:gsub("[&<> ]", { ["&"] = "&amp;", ["<"] = "&lt;",
    [">"] = "&gt;", [" "] = "\194\160" }))
end

local function colour(number)
  return ("#%06x"):format(number)
end

-- Foreground, background and style of a cell.
local function look_of(screen, id)
  local look = screen.looks[id] or {}
  local fg, bg = look.foreground or screen.fg, look.background or screen.bg
  if look.reverse then
    fg, bg = bg, fg
  end
  return fg, bg, (look.bold and ' font-weight="bold"' or "")
    .. (look.italic and ' font-style="italic"' or "")
end

local function place(number)
  return (("%.1f"):format(number):gsub("%.0$", ""))
end

-- Cells from `first` to `last` that look the same.
local function put_run(parts, screen, row, first, last, text)
  local fg, bg, style = look_of(screen, screen.grid[row][first][2])
  local x, y = MARGIN + (first - 1) * WIDTH, MARGIN + (row - 1) * HEIGHT
  local width = (last - first + 1) * WIDTH
  if bg ~= screen.bg then
    parts[#parts + 1] = ('<rect x="%s" y="%s" width="%s" height="%d"'
      .. ' fill="%s"/>'):format(place(x), place(y), place(width), HEIGHT,
        colour(bg))
  end
  text = text:gsub(" +$", "")
  local blank = text:match("^ *")
  text = text:sub(#blank + 1)
  if text ~= "" then
    parts[#parts + 1] = ('<text x="%s" y="%s" textLength="%s" fill="%s"%s>'
      .. '%s</text>'):format(place(x + #blank * WIDTH), place(y + 13),
        place(vim.fn.strdisplaywidth(text) * WIDTH), colour(fg), style,
        escape(text))
  end
end

local function put_row(parts, screen, row)
  local cells = screen.grid[row]
  local first, text = 1, ""
  for col = 1, screen.cols do
    text = text .. cells[col][1]
    local after = cells[col + 1]
    if not after or after[2] ~= cells[first][2] then
      put_run(parts, screen, row, first, col, text)
      first, text = col + 1, ""
    end
  end
end

local function put_cursor(parts, screen)
  parts[#parts + 1] = ('<rect x="%s" y="%s" width="%s" height="%d" fill="%s"'
    .. ' opacity="0.5"/>'):format(place(MARGIN + (screen.col - 1) * WIDTH),
      place(MARGIN + (screen.row - 1) * HEIGHT), place(WIDTH), HEIGHT,
      colour(screen.fg))
end

--- What the screen shows now, to be shown for some seconds.
function svg.frame(screen, seconds)
  local parts = {}
  for row = 1, screen.rows do
    put_row(parts, screen, row)
  end
  if not screen.busy then
    put_cursor(parts, screen)
  end
  return { body = table.concat(parts, "\n"), seconds = seconds }
end

-- From when to when it is seen, in parts of the whole.
local function animation(from, to, total)
  local values, times = "hidden;visible;hidden", "0;%.4f;%.4f"
  if from == 0 then
    values, times = "visible;hidden", "0;%.4f"
    from, to = to, nil
  elseif to == total then
    values, times = "hidden;visible", "0;%.4f"
  end
  return ('<animate attributeName="visibility" calcMode="discrete"'
    .. ' dur="%gs" repeatCount="indefinite" values="%s" keyTimes="%s"/>')
    :format(total, values, times:format(from / total, (to or 0) / total))
end

--- The picture of all frames.
function svg.picture(screen, frames, title)
  local width = screen.cols * WIDTH + 2 * MARGIN
  local height = screen.rows * HEIGHT + 2 * MARGIN
  local total, now = 0, 0
  for _, frame in ipairs(frames) do
    total = total + frame.seconds
  end
  local parts = { ('<svg xmlns="http://www.w3.org/2000/svg" width="%d"'
    .. ' height="%d" font-family="DejaVu Sans Mono, Menlo, Consolas,'
    .. ' monospace" font-size="%d">\n<title>%s</title>\n'
    .. '<rect width="100%%" height="100%%" rx="6" fill="%s"/>')
    :format(width, height, SIZE, escape(title), colour(screen.bg)) }
  for i, frame in ipairs(frames) do
    parts[#parts + 1] = ('<g visibility="%s">')
      :format(i == #frames and "visible" or "hidden")
    parts[#parts + 1] = animation(now, now + frame.seconds, total)
    parts[#parts + 1] = frame.body
    parts[#parts + 1] = "</g>"
    now = now + frame.seconds
  end
  parts[#parts + 1] = "</svg>\n"
  return table.concat(parts, "\n")
end

return svg
