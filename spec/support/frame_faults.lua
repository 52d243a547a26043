-- What can go wrong after an upgrade, as one table: {name, what the peer does,
-- the types of error, options}. `slow`: only a deadline ends it. `start` is
-- what the peer has said before: nothing, or that the program runs.

local faults = {}

local function add(name, script, expected, options)
  faults[#faults + 1] = { name = name, script = script,
    expected = expected or "ProtocolError", slow = options and options.slow,
    closes = options and options.closes }
end

local function sends(bytes, ending)
  return ("c:send(%q) c:sleep(0.01) c:%s"):format(bytes, ending or "close()")
end

local LOST = "ConnectionError"
local EITHER = "ConnectionError ProtocolError"

-- ---- the end of the connection ----------------------------------------------

for name, bytes in pairs({
  ["without a frame"] = "", ["inside a head"] = "\129",
  ["inside a length"] = "\129\126\1", ["inside a payload"] = "\129\10{}",
  ["inside a message"] = "\1\2{}", ["inside a close frame"] = "\136\2\3",
}) do
  add("end " .. name, sends(bytes), LOST)
  add("reset " .. name, sends(bytes, "reset()"), LOST)
  add("silence " .. name, ("c:send(%q) c:sleep(60)"):format(bytes),
    "TimeoutError", { slow = true })
end
add("pings without an end",
  "for i = 1, 300 do c:frame(9, 'x') c:sleep(0.2) end", "TimeoutError",
  { slow = true })

-- ---- close frames -----------------------------------------------------------

for _, code in ipairs({ 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012,
  3000, 4999 }) do
  add("close " .. code, ("c:close_frame(%d, 'why') c:close()"):format(code),
    "ConnectionError ProtocolError TooLargeError", { closes = true })
end
add("close with a reason that moves the cursor",
  "c:close_frame(1000, '\\27[2J\\7') c:close()", EITHER, { closes = true })
add("close without a code", sends("\136\0"), EITHER, { closes = true })
for name, bytes in pairs({
  ["of one byte"] = "\136\1\3", ["with the code 999"] = "\136\2\3\231",
  ["with the code 1005"] = "\136\2\3\237",
  ["with the code 1006"] = "\136\2\3\238",
  ["with the code 65535"] = "\136\2\255\255",
  ["with a reason that is not UTF-8"] = "\136\3\3\232\255",
}) do
  add("close " .. name, sends(bytes), EITHER)
end

-- ---- frames -----------------------------------------------------------------

for name, bytes in pairs({
  ["a masked frame"] = "\129\130abcd\26\31",
  ["a reserved bit"] = "\193\2{}", ["all reserved bits"] = "\241\2{}",
  ["opcode 3"] = "\131\2{}", ["opcode 11"] = "\139\0",
  ["a ping in pieces"] = "\9\1x",
  ["a ping of 126 bytes"] = "\137\126\0\126" .. ("x"):rep(126),
  ["a continuation of nothing"] = "\128\2{}",
  ["a message inside another"] = "\1\1{\129\1}",
  ["a length beyond 2^63"] = "\129\127\255\255\255\255\255\255\255\255{}",
  ["text that is not UTF-8"] = "\129\2\255\254",
  ["text that ends inside a character"] = "\129\1\195",
}) do
  add(name, sends(bytes), EITHER)
end
add("a length of a tebibyte", sends("\129\127\0\0\1\0\0\0\0\0{}"),
  "ConnectionError ProtocolError TooLargeError")

-- ---- messages ---------------------------------------------------------------

-- An exit without a code, or with null, has the documented one: -1. Who does
-- not look into a message (a port's WebSocket) only meets the end.
for name, message in pairs({
  ["garbage"] = "garbage", ["nothing"] = "", ["an array"] = "[]",
  ["null"] = "null", ["a string"] = '"exit"', ["a number"] = "0",
  ["an empty object"] = "{}", ["a type that is no string"] = '{"type":1}',
  ["an unknown type"] = '{"type":"wrenn","data":"x"}',
  ["an exit code that is text"] = '{"type":"exit","exit_code":"0"}',
  ["an exit code of 1.5"] = '{"type":"exit","exit_code":1.5}',
  ["an exit code of 1e300"] = '{"type":"exit","exit_code":1e300}',
  ["an exit code that is an object"] = '{"type":"exit","exit_code":{}}',
  ["an exit that is cut"] = '{"type":"exit","exit_code":0',
  ["two objects"] = '{"type":"exit","exit_code":0}{}',
  ["a start without a pid"] = '{"type":"start"}',
  ["a pid that is text"] = '{"type":"start","pid":"5"}',
  ["a pid below 1"] = '{"type":"start","pid":-1}',
  ["data that is a number"] = '{"type":"stdout","data":5}',
  ["data that is an object"] = '{"type":"stdout","data":{}}',
  ["output that is not base64"] = '{"type":"output","data":"%%%"}',
  ["an error without a text"] = '{"type":"error"}',
  ["an error that is a number"] = '{"type":"error","data":7}',
  ["deep JSON"] = ("["):rep(5000) .. ("]"):rep(5000),
  ["a lone surrogate"] = '{"type":"stdout","data":"\\ud800"}',
}) do
  add("a message: " .. name, ("c:text(%q) c:sleep(0.01) c:close()")
    :format(message), "ConnectionError ProtocolError AgentError")
end

table.sort(faults, function(a, b) return a.name < b.name end)

return faults
