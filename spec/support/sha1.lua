-- SHA-1 for the WebSocket handshake of scripted peers. Lua 5.3 or later.

local function rotate(x, n)
  return ((x << n) | (x >> (32 - n))) & 0xffffffff
end

local function expand(block)
  local w = { string.unpack(">" .. ("I4"):rep(16), block) }
  for i = 17, 80 do
    w[i] = rotate(w[i - 3] ~ w[i - 8] ~ w[i - 14] ~ w[i - 16], 1)
  end
  return w
end

local function round(i, b, c, d)
  if i <= 20 then
    return (b & c) | (~b & d), 0x5a827999
  elseif i <= 40 then
    return b ~ c ~ d, 0x6ed9eba1
  elseif i <= 60 then
    return (b & c) | (b & d) | (c & d), 0x8f1bbcdc
  end
  return b ~ c ~ d, 0xca62c1d6
end

return function(text)
  local h = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 }
  local padded = text .. "\128" .. ("\0"):rep((55 - #text) % 64)
    .. string.pack(">I8", #text * 8)
  for at = 1, #padded, 64 do
    local w = expand(padded:sub(at, at + 63))
    local a, b, c, d, e = h[1], h[2], h[3], h[4], h[5]
    for i = 1, 80 do
      local f, k = round(i, b, c, d)
      local t = (rotate(a, 5) + (f & 0xffffffff) + e + k + w[i]) & 0xffffffff
      a, b, c, d, e = t, a, rotate(b, 30), c, d
    end
    for i, v in ipairs({ a, b, c, d, e }) do
      h[i] = (h[i] + v) & 0xffffffff
    end
  end
  return string.pack(">I4I4I4I4I4", h[1], h[2], h[3], h[4], h[5])
end
