-- The program behind bin/wrenn. Its first words are what that has found out:
-- the folder of the C modules, or "", and which of the descriptors 0, 1 and 2
-- are terminals.

local root = arg[0]:match("^(.*)/wrenn/cli/main%.lua$") or "."
package.path = root .. "/?.lua;" .. root .. "/?/init.lua;" .. package.path
if arg[1] ~= "" then
  package.cpath = arg[1] .. "/?.so;" .. package.cpath
end

local words = {}
for i = 3, #arg do
  words[i - 2] = arg[i]
end

local status = require("wrenn.cli").main(words, arg[2] or "")
os.exit(status)
