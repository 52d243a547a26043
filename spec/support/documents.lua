-- The documents of this tree, for specs.

local host = require("spec.support.host")

local documents = {}

--- The blocks of code of a document: {kind =, text =, under =}, where `under` is
--- the heading above.
function documents.blocks_of(path)
  local list, block, under = {}, nil, ""
  for line in host.read_file(path):gmatch("([^\n]*)\n") do
    if block and line == "```" then
      block.text = table.concat(block, "\n") .. "\n"
      list[#list + 1], block = block, nil
    elseif block then
      block[#block + 1] = line
    elseif line:find("^```%w") then
      block = { kind = line:sub(4), under = under }
    elseif line:find("^#") then
      under = line:gsub("^#+ ", "")
    end
  end
  return list
end

return documents
