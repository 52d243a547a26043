-- "min": what Lua 5.1, 5.2, 5.3, 5.4 and LuaJIT all have.
std = "min"
max_line_length = 80

files["spec"] = { std = "min+busted" }
files["rockspec"] = { std = "rockspec" }
