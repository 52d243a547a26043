-- Writes the reference of the C library out of its header: each declaration with
-- the comment above it.

local c_reference = {}

local INTRO = [[
# The C library

<!-- Made from the comments in src/wrenn.h by `make docs`. -->

```c
#include <wrenn/wrenn.h>
```

]]

-- The text of a comment.
local function text_of(comment)
  local text = comment:gsub("^/%*+%s*", ""):gsub("%s*%*/$", "")
  text = text:gsub("\n%s*%* ?", "\n")
  -- Indented lines are code.
  text = text:gsub("\n\n(  [^\n]+)", "\n\n```c\n%1")
    :gsub("(\n```c\n.-\n)(\n[^ \n])", "%1```\n%2")
  return (text:gsub("\n  ", "\n"):gsub("^%l", string.upper))
end

-- The end of the declaration that begins at `at`.
local function end_of_declaration(text, at)
  local depth = 0
  while true do
    local start, stop = text:find("/%*.-%*/", at)
    local place, c = text:match("()([{};])", at)
    if start and start < place then
      at = stop + 1
    else
      depth = depth + (c == "{" and 1 or c == "}" and -1 or 0)
      at = place + 1
      if c == ";" and depth == 0 then
        return place
      end
    end
  end
end

local function name_of(declaration)
  return declaration:match("([%w_]+)%(") or declaration:match("([%w_]+);%s*$")
end

--- Returns the document, and a list of faults.
function c_reference.write(header)
  local out, faults = { INTRO }, {}
  out[#out + 1] = text_of(header:match("^(/%*.-%*/)")) .. "\n"
  local at = header:find("#define WRENN_VERSION")
  local comment
  while at do
    local rest = header:sub(at)
    if rest:find("^%s*/%*") then
      local found = rest:match("^%s*(/%*.-%*/)")
      local heading = found:match("^/%* %-%-%-%- (.-) %-+ %*/$")
      if heading then
        out[#out + 1] = ("\n## %s\n"):format(heading)
      else
        comment = found
      end
      at = at + select(2, rest:find("^%s*/%*.-%*/"))
    elseif rest:find("^%s*#define") then
      at = at + #rest:match("^%s*[^\n]*\n")
    elseif rest:find("^%s*#") or not rest:find("%S") then
      break
    else
      local start = at + #rest:match("^%s*")
      local stop = end_of_declaration(header, start)
      local declaration = header:sub(start, stop)
      local shown = declaration:gsub("^WRENN_API ", "")
      local name = name_of(declaration)
      out[#out + 1] = ("\n### `%s`\n\n```c\n%s\n```\n"):format(name, shown)
      if comment then
        out[#out + 1] = text_of(comment) .. "\n"
      elseif declaration:find("^WRENN_API") then
        faults[#faults + 1] = ("src/wrenn.h: %s has no comment"):format(name)
      end
      comment = nil
      at = stop + 1
    end
  end
  return table.concat(out, "\n"):gsub("\n\n\n+", "\n\n"):gsub("\n+$", "\n"),
    faults
end

return c_reference
