-- What setup{} sets, and what holds without it.

local M = {}

-- Python and Lua would buffer their output, as it goes to a pipe.
local programs = {
  python = "python3 -u", lua = [[lua -e 'io.stdout:setvbuf("line")']],
  sh = "sh", bash = "bash", javascript = "node", perl = "perl", ruby = "ruby",
  [""] = "sh",
}

local defaults = {
  client = {}, -- options of wrenn.Capsule.create, such as api_key, base_url
  template = nil, -- of new capsules; nil: the server's
  timeout = 3600, -- seconds without use after which a capsule is paused
  programs = programs, -- by file type; false: none
  split = "botright split", -- opens the window of the output
  patience = 30, -- seconds that opening or saving a file may take
}

local types = {
  client = "table", template = "string", timeout = "number",
  programs = "table", split = "string", patience = "number",
}

M.values = vim.deepcopy(defaults)

--- Takes the options of setup{}. The programs are added to the known ones.
function M.set(options)
  for name, value in pairs(options or {}) do
    if not types[name] then
      error(("wrenn_nvim.setup: there is no option '%s'"):format(name), 3)
    elseif type(value) ~= types[name] then
      error(("wrenn_nvim.setup: '%s' has to be a %s"):format(name,
        types[name]), 3)
    end
  end
  M.values = vim.tbl_extend("force", vim.deepcopy(defaults), options or {})
  M.values.programs = vim.tbl_extend("force", programs,
    options and options.programs or {})
end

return M
