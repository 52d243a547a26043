-- Words that are no text. JSON carries none, and a file may well have such a
-- name: they travel escaped, and a fixed shell line turns them back.

local bytes = {}

-- One escaped word after another; the full stop keeps line ends at the end.
local DECODE = [[for word do
  shift
  word=$(printf '%b.' "$word")
  set -- "$@" "${word%.}"
done
exec "$@"]]

local C = "[\128-\191]"
local characters = {
  "[\194-\223]" .. C, "\224[\160-\191]" .. C, "\237[\128-\159]" .. C,
  "[\225-\236\238\239]" .. C .. C, "\240[\144-\191]" .. C .. C,
  "[\241-\243]" .. C .. C .. C, "\244[\128-\143]" .. C .. C,
}

local function is_text(word)
  if not word:find("[\128-\255]") then
    return true
  end
  for _, character in ipairs(characters) do
    word = word:gsub(character, ".")
  end
  return not word:find("[\128-\255]")
end

local function escape(word)
  return (word:gsub("[\\\128-\255]", function(byte)
    return ("\\0%03o"):format(byte:byte())
  end))
end

--- The program and arguments that have the effect of these, as text.
function bytes.wrap(program, args)
  local all_text = true
  for _, arg in ipairs(args) do
    all_text = all_text and is_text(arg)
  end
  if all_text then
    return program, args
  end
  local list = { "-c", DECODE, "sh", escape(program) }
  for _, arg in ipairs(args) do
    list[#list + 1] = escape(arg)
  end
  return "/bin/sh", list
end

return bytes
