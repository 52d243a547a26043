-- The plugin of nvim/ without a user: reads and writes files of a capsule,
-- chooses capsules, starts a language server, checks its health.

local plugin = require("wrenn_nvim")
local wrenn = require("wrenn")

local api = vim.api

-- On a line of its own: messages of the editor's come without an end.
local function say(name, value)
  io.stdout:write("\n", name, " ", (tostring(value):gsub("\n", "/")), "\n")
end

vim.o.showmode = false -- it would be printed among the figures

local function lines()
  return table.concat(api.nvim_buf_get_lines(0, 0, -1, true), "|")
end

local function wait_until(condition)
  local met
  vim.wait(60000, function()
    met = condition()
    return met
  end, 20)
  return met
end

local function press(key)
  api.nvim_feedkeys(api.nvim_replace_termcodes(key, true, true, true), "xt",
    false)
end

local function files_of(capsule)
  local files = capsule.files
  local name = ("wrenn://%s/tmp/a%%b c"):format(capsule.id)
  wrenn.check(files:write("/tmp/a%b c", "one\ntwo\n"))
  vim.cmd("edit " .. vim.fn.fnameescape(name))
  say("read", lines())
  say("unmodified", vim.bo.modified == false)
  api.nvim_buf_set_lines(0, 1, 2, true, { "zwei", "drei" })
  say("modified", vim.bo.modified)
  vim.cmd("write")
  say("written", wrenn.check(files:read("/tmp/a%b c")))
  say("saved", vim.bo.modified == false)
  vim.cmd("2,3write " .. vim.fn.fnameescape(name .. ".part"))
  say("part", wrenn.check(files:read("/tmp/a%b c.part")))

  wrenn.check(files:write("/tmp/dos", "a\r\nb"))
  vim.cmd("edit wrenn://" .. capsule.id .. "/tmp/dos")
  say("format", vim.bo.fileformat .. " " .. tostring(vim.bo.endofline))
  vim.bo.fixendofline = false
  api.nvim_buf_set_lines(0, 0, 1, true, { "c" })
  vim.cmd("write")
  say("kept", wrenn.check(files:read("/tmp/dos")) == "c\r\nb")

  vim.cmd("edit wrenn://" .. capsule.id .. "/tmp/new.py")
  say("new", vim.bo.filetype .. " " .. lines())
  api.nvim_buf_set_lines(0, 0, -1, true, { "pass" })
  vim.cmd("write")
  say("created", wrenn.check(files:read("/tmp/new.py")))

  local ok, err = pcall(vim.cmd, "edit wrenn://" .. capsule.id .. "/dev/full/x")
  say("no_file", ok and lines() or err)
  wrenn.check(files:write("/tmp/dir/in it", "found\n"))
  vim.cmd("edit wrenn://" .. capsule.id .. "/tmp/dir")
  say("listed", lines())
  press("<CR>")
  say("entered", lines())
  vim.cmd("edit wrenn://" .. capsule.id .. "/tmp/dir")
  press("-")
  say("above", ("|" .. lines() .. "|"):find("|dir/|", 1, true) ~= nil)
end

local function choose(capsule)
  local offered
  vim.ui.select = function(list, options, chosen)
    offered = options.format_item(list[1])
    chosen(list[1])
  end
  say("before", plugin.status())
  vim.cmd("WrennSelect")
  say("chosen", wait_until(function()
    return plugin.status() == "wrenn: " .. capsule.id:sub(1, 9)
  end))
  say("offered", offered:find(capsule.id .. "  running", 1, true) == 1)
  vim.cmd("WrennEdit made")
  say("edits", wait_until(function()
    local name = api.nvim_buf_get_name(0)
    return name:find("wrenn://" .. capsule.id .. "/", 1, true)
      and name:find("/made$")
  end) ~= nil)
  plugin.setup({ programs = { text = "cat" } })
  vim.cmd("enew")
  vim.bo.filetype = "text"
  api.nvim_buf_set_lines(0, 0, -1, true, { "set up" })
  local function output_has(text)
    return wait_until(function()
      for _, buffer in ipairs(api.nvim_list_bufs()) do
        if api.nvim_buf_get_name(buffer):find("^wrenn://run")
          and table.concat(api.nvim_buf_get_lines(buffer, 0, -1, true), "|")
            :find(text, 1, true)
        then
          return true
        end
      end
    end)
  end
  vim.cmd("WrennRun")
  say("set_up", output_has("set up|[exit 0]"))
  vim.cmd("WrennRerun")
  say("again", output_has("set up|[exit 0]"))
  vim.cmd("WrennRun sleep 60; cat")
  vim.cmd("WrennKill")
  say("killed", output_has("[killed]"))
  say("refused", select(2, pcall(plugin.setup, { tmeout = 1 })))
end

local function health()
  vim.cmd("checkhealth wrenn")
  local text = lines()
  say("healthy", text:find("answers", 1, true) ~= nil
    and text:find("JSON is sound", 1, true) ~= nil and not text:find("ERROR"))
end

local function language_server(capsule)
  local server = os.getenv("WRENN_SPEC_SERVER")
  if not server then
    return
  end
  wrenn.check(capsule.files:write("/tmp/app/main.py",
    "import jsn\n\ndef wren(song):\n    return song\n\nwren(1)\n"))
  vim.cmd("edit wrenn://" .. capsule.id .. "/tmp/app/main.py")
  local id = plugin.lsp_start({ cmd = vim.split(server, " "),
    root = "/tmp/app" })
  local found
  say("attached", wait_until(function()
    return vim.lsp.buf_is_attached(0, id) and vim.lsp.get_client_by_id(id)
      .initialized
  end))
  api.nvim_win_set_cursor(0, { 6, 1 })
  say("defined", wait_until(function()
    if not found then
      found = true
      vim.lsp.buf_request(0, "textDocument/definition",
        vim.lsp.util.make_position_params(0, "utf-16"), function(err, result)
          found = err and vim.inspect(err)
            or (result and result[1] or result) or false
        end)
    end
    return type(found) ~= "boolean"
  end))
  say("place", type(found) == "table"
    and ("%s %d"):format(found.uri or found.targetUri,
      (found.range or found.targetRange).start.line) or found)
  say("same", plugin.lsp_start({ cmd = vim.split(server, " "),
    root = "/tmp/app" }) == id)
  vim.lsp.stop_client(id)
  say("stopped", wait_until(function()
    return not vim.lsp.get_client_by_id(id)
  end))
end

local ok, err = pcall(function()
  local capsule = wrenn.check(wrenn.Capsule.create({ wait = true }))
  files_of(capsule)
  choose(capsule)
  health()
  language_server(capsule)
  vim.cmd("WrennStop")
  say("stays", wrenn.check(wrenn.Capsule.is_running(capsule.id)))
  wrenn.check(capsule:destroy())
  say("finished", true)
end)
if not ok then
  say("raised", err)
end
vim.cmd("qa!")
