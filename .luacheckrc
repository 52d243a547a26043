-- "min": what Lua 5.1, 5.2, 5.3, 5.4 and LuaJIT all have.
std = "min"
max_line_length = 80
max_comment_line_length = 160 -- a type annotation cannot be broken
-- What only some of them have, asked for with a fallback.
read_globals = {
  "unpack",
  table = { fields = { "unpack" } },
  math = { fields = { "tointeger", "type" } },
}

-- Specs run on all of them too, and ask for what only some have.
files["spec"] = { std = "max+busted" }
files["bench"] = { std = "max" }
-- Loaded by hosts that have a global of their own.
files["spec/hosts/nvim_*.lua"] = { std = "max", globals = { "vim" } }
files["spec/hosts"] = { std = "max+ngx_lua" }
files["nvim"] = { std = "max", globals = { "vim" } }
files["examples/openresty"] = { std = "max+ngx_lua" }
files["rockspec"] = { std = "rockspec" }
-- Processes of their own, always on 5.4.
files["spec/support/peer_main.lua"] = { std = "lua54" }
files["spec/support/sha1.lua"] = { std = "lua54" }
for _, of_neovim in ipairs({ "nvim", "spec/hosts/nvim_*",
  "scripts/record" }) do
  files[of_neovim] = { globals = { "vim" } }
end
-- Methods that need nothing of their object are called like the others.
files["lua/wrenn/cli"] = { self = false }
