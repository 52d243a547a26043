-- The output of the helper of files:watch: the same however it is cut, and no
-- event of something outside.

local changes = require("wrenn.files.watch_decoder")

local function decode(bytes, step)
  local decoder, log = changes.decoder("w", "./w", "T"), {}
  for at = 1, #bytes, step do
    decoder:feed(bytes:sub(at, at + step - 1))
  end
  for i, event in ipairs(decoder.events) do
    assert(event.path:find("^w"), "an event of something outside")
    log[i] = event.type .. event.path .. tostring(event.directory)
  end
  log[#log + 1] = tostring(decoder.gone)
  return table.concat(log, "\n")
end

return {
  words = { "CREATE ", "MOVED_FROM ", "MOVED_TO ", "DELETE_SELF ", ",ISDIR",
    "./w/", "/T$\n", "$\n", "\n", "\t", ".\n", "gone\n", "\\303", "\\\\",
    "1 f 644 3 1.5 ", "2 d 755 - - ", "MODIFY ", "Q_OVERFLOW " },
  run = function(bytes)
    local whole = decode(bytes, math.max(#bytes, 1))
    assert(decode(bytes, 1) == whole and decode(bytes, 5) == whole,
      "cut into pieces it is another")
  end,
}
