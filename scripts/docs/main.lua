-- main.lua: writes the references and man pages into docs/, and the site into
-- build/docs. With "check", compares instead, and looks where links lead.
--
--   lua5.4 scripts/docs/main.lua [check]

package.path = "./?.lua;" .. package.path

local c_reference = require("scripts.docs.c_reference")
local html = require("scripts.docs.html")
local lua_reference = require("scripts.docs.lua_reference")
local luacats = require("scripts.docs.luacats")
local man = require("scripts.docs.man")
local markdown = require("scripts.docs.markdown")

local SITE = "build/docs"
local SOURCES = "https://github.com/wrennhq/wrenn-lua/blob/v%s/%s"

-- The pages of the site, in the order of its menu.
local DOCUMENTS = {
  "README.md", "docs/reference/lua.md", "docs/reference/c.md", "docs/cli.md",
  "docs/hosts.md", "docs/python.md", "docs/openresty.md", "docs/c.md",
  "local/README.md", "nvim/README.md", "examples/README.md",
  "examples/openresty/README.md", "docs/architecture.md", "CONTRIBUTING.md",
  "CHANGELOG.md",
}

local MAN_PAGES = {
  { name = "wrenn", section = "1", from = "docs/cli.md",
    summary = "capsules from a shell" },
  { name = "wrenn-local", section = "1", from = "local/README.md",
    summary = "server for capsules on this machine" },
  { name = "wrenn", section = "3lua", from = "docs/reference/lua.md",
    summary = "Lua module: commands, terminals and files in capsules" },
  { name = "libwrenn", section = "3", from = "docs/reference/c.md",
    summary = "HTTP requests and WebSockets behind one queue" },
}

local checks = arg[1] == "check"
local faults = 0

local function fault(...)
  faults = faults + 1
  print((...):format(select(2, ...)))
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function lines_of(command)
  local list, pipe = {}, assert(io.popen(command))
  for line in pipe:lines() do
    list[#list + 1] = line
  end
  pipe:close()
  return list
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- Writes a file that is kept in the tree, or says that it differs.
local function keep(path, text)
  if not checks then
    return write(path, text)
  end
  local file = io.open(path, "rb")
  if not file or file:read("a") ~= text then
    fault("%s is not what its sources say: run `make docs`", path)
  end
  if file then
    file:close()
  end
end

local version = read("src/wrenn.h"):match('#define WRENN_VERSION "(.-)"')

-- ---- the references --------------------------------------------------------

local function tell(text, found)
  for _, one in ipairs(found) do
    fault("%s", one)
  end
  return text
end

local texts = {} -- by path
local function write_references()
  os.execute("mkdir -p docs/reference docs/man " .. SITE)
  local model = luacats.read(lines_of("find lua -name '*.lua' | sort"))
  texts["docs/reference/lua.md"] = tell(lua_reference.write(model))
  texts["docs/reference/c.md"] = tell(c_reference.write(read("src/wrenn.h")))
  for path, text in pairs(texts) do
    keep(path, text)
  end
end

-- ---- the site --------------------------------------------------------------

-- "docs/c.md" becomes "docs-c.html".
local function file_of(path)
  return path == "README.md" and "index.html"
    or (path:gsub("/", "-"):gsub("%.md$", ".html"))
end

local function load_pages()
  local pages = {}
  for _, path in ipairs(DOCUMENTS) do
    local blocks = markdown.blocks(texts[path] or read(path))
    local page = { path = path, file = file_of(path), blocks = blocks,
      title = markdown.plain(blocks[1].text), anchors = {} }
    for _, block in ipairs(blocks) do
      if block.kind == "heading" then
        page.anchors[markdown.anchor(block.text)] = true
      end
    end
    pages[#pages + 1], pages[path] = page, page
  end
  return pages
end

-- "docs/c.md", "../src/wrenn.h" -> "src/wrenn.h"
local function resolve(from, target)
  local path = (from:match("^(.*/)") or "") .. target
  local before
  repeat
    before = path
    path = path:gsub("[^/]+/%.%./", "", 1)
  until path == before
  return path
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

-- Where a link of a page leads in the site.
local function linker(page, pages)
  return function(target)
    if target:find("^%a+:") then
      return target
    end
    local name, anchor = target:match("^([^#]*)#?(.*)$")
    local path = name == "" and page.path or resolve(page.path, name)
    local other = pages[path]
    if other and anchor ~= "" and not other.anchors[anchor] then
      fault("%s: %s has no heading #%s", page.path, path, anchor)
    elseif not other and not exists(path) then
      fault("%s: there is no %s", page.path, path)
    end
    if other then
      return other.file .. (anchor ~= "" and "#" .. anchor or "")
    elseif path:find("%.svg$") then
      write(SITE .. "/" .. path:match("[^/]*$"), read(path))
      return path:match("[^/]*$")
    end
    return SOURCES:format(version, path)
  end
end

local function write_site(pages)
  for _, page in ipairs(pages) do
    write(SITE .. "/" .. page.file,
      html.page(page, pages, linker(page, pages)))
  end
end

local function write_man_pages(pages)
  for _, page in ipairs(MAN_PAGES) do
    page.blocks = pages[page.from].blocks
    keep(("docs/man/%s.%s"):format(page.name, page.section),
      man.page(page, version))
  end
end

write_references()
local pages = load_pages()
write_site(pages)
write_man_pages(pages)
if not checks then
  print(("%d pages: %s/index.html"):format(#pages, SITE))
end
os.exit(faults == 0)
