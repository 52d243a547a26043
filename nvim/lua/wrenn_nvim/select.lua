-- :WrennSelect.

local session = require("wrenn_nvim.session")

local M = {}

--- :WrennSelect: chooses a capsule, which is used from then on.
function M.select()
  session.attempt(function()
    local list = {}
    for _, info in ipairs(session.list()) do
      if info.status ~= "stopping" and info.status ~= "stopped" then
        list[#list + 1] = info
      end
    end
    if #list == 0 then
      return session.notify("there are no capsules")
    end
    vim.ui.select(list, {
      prompt = "Use capsule",
      format_item = function(info)
        return ("%s  %s  %s"):format(info.id, info.status, info.template or "")
      end,
    }, function(info)
      if info then
        session.attempt(function()
          session.use(info.id)
        end)
      end
    end)
  end)
end

return M
