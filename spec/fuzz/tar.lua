-- Archives: the same however the bytes are cut, no path that leads out, no more
-- contents than there are bytes.

local header = require("wrenn.files.tar.header")
local tar = require("wrenn.files.tar")

local BLOCK = 512

local function read(bytes, step)
  local log, total = {}, 0
  local handler = {}
  function handler.entry(entry)
    local below = tar.below(entry.path)
    if below then
      assert(not below:find("^/") and not ("/" .. below .. "/"):find("/../", 1,
        true), "a path that leads out")
      assert(#below <= 4096 and not below:find("\0", 1, true))
    end
    assert(entry.size >= 0 and entry.size < 2 ^ 53)
    log[#log + 1] = ("%s %s %s %s"):format(entry.type, entry.path,
      tostring(entry.target), entry.size)
    return true
  end
  function handler.data(data)
    total = total + #data
    log[#log] = log[#log] .. data
    return true
  end
  function handler.done()
    log[#log + 1] = "done"
    return true
  end
  local reader = tar.reader(handler)
  for at = 1, #bytes, step do
    local ok, why = reader:feed(bytes:sub(at, at + step - 1))
    if not ok then
      assert(type(why) == "string", "no reason")
      log[#log + 1] = why
      break
    end
  end
  assert(total <= #bytes, "more than came in")
  log[#log + 1] = tostring(reader:finish())
  return table.concat(log, "\n")
end

-- Gives each block that looks like a header its checksum: without, hardly any
-- input would get past it.
local function fix(bytes)
  local blocks = {}
  for at = 1, #bytes, BLOCK do
    local block = bytes:sub(at, at + BLOCK - 1)
    if #block == BLOCK and block:find("ustar", 250, true) then
      block = block:sub(1, 148) .. ("%06o\0 "):format(header.sum(block))
        .. block:sub(157)
    end
    blocks[#blocks + 1] = block
  end
  return table.concat(blocks)
end

return {
  fix = fix,
  most = 8 * 1024,
  words = { "\0", "../", "/", "..", "x", "g", "L", "K", "1", "2", "5", "\128",
    "\255", "0000777", "77777777777", "27 path=some/file name\n",
    "15 size=100\n", "20 linkpath=../up\n", "GNU.sparse.",
    ("\0"):rep(BLOCK), "ustar\0" },
  run = function(bytes)
    local whole = read(bytes, math.max(#bytes, 1))
    assert(read(bytes, 1) == whole, "cut into bytes it is another")
    assert(read(bytes, 300) == whole, "cut into pieces it is another")
  end,
}
