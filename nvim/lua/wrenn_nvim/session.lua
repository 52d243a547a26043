-- The capsule of this session: made when it is first needed, or chosen by the
-- user. Only one that was made here is destroyed when Neovim ends.

local config = require("wrenn_nvim.config")
local wrenn = require("wrenn")

local M = {}

local PATIENCE = 5 -- seconds that destroying may take at the end

local capsule, is_own
local making -- the task that creates it

function M.notify(err)
  vim.notify("wrenn: " .. tostring(err), vim.log.levels.ERROR)
end

--- Starts a task. Its error is shown, as nobody could catch it.
function M.attempt(fn, show)
  return wrenn.task.spawn(function()
    local ok, err = pcall(fn)
    if not ok then
      (show or M.notify)(err)
    end
  end)
end

local function changed()
  vim.schedule(function()
    vim.cmd("redrawstatus!")
  end)
end

local function options(more)
  return vim.tbl_extend("force", config.values.client, more or {})
end

local function create()
  local made, err = wrenn.Capsule.create(options({
    wait = true, timeout = config.values.timeout,
    template = config.values.template,
  }))
  capsule, is_own, making = made, made ~= nil, nil
  changed()
  return made, err
end

--- Connects to a capsule, and resumes it if it was paused. Raises.
function M.open(id)
  return wrenn.check(wrenn.Capsule.connect(id, options()))
end

--- The capsules of this account, newest first. Raises.
function M.list()
  return wrenn.check(wrenn.Capsule.list(options()))
end

--- Returns the capsule, resumed if it was paused, or a new one if it has ended.
--- Raises.
function M.get()
  if capsule then
    local found, err = wrenn.Capsule.connect(capsule.id, options())
    if found then
      return found
    elseif not (err:is("NotFoundError") or err:is("CapsuleStateError")) then
      error(err, 0)
    end
    capsule = nil
  end
  if not making then
    making = wrenn.task.spawn(create)
    changed()
  end
  return wrenn.check(making:wait())
end

--- Uses this capsule from now on. It stays when Neovim ends.
function M.use(id)
  local chosen = M.open(id)
  M.destroy()
  capsule, is_own = chosen, false
  changed()
  return chosen
end

--- Destroys the capsule if it was made here, otherwise only forgets it. Raises.
function M.destroy()
  if making then
    making:wait()
  end
  local old, owned = capsule, is_own
  capsule = nil
  changed()
  if old and owned then
    wrenn.check(old:destroy())
  end
end

--- :WrennStop: destroys the capsule.
function M.stop()
  M.attempt(M.destroy)
end

--- For a status line: "" without a capsule.
function M.status()
  if making then
    return "wrenn: starting"
  end
  return capsule and "wrenn: " .. capsule.id:sub(1, 9) or ""
end

--- Runs `fn` while the editor waits, for this many seconds at most. Returns what
--- it returns, or nil and the error.
function M.wait(seconds, fn)
  local ok, value, err = pcall(wrenn.task.with_timeout, seconds, fn)
  if not ok then
    return nil, value
  end
  return value, err
end

local function leave()
  local id = capsule and capsule.id or "a capsule"
  local done, err = M.wait(PATIENCE, function()
    M.destroy()
    return true
  end)
  if not done then
    M.notify(("%s may be left over: %s"):format(id, tostring(err)))
    vim.cmd("redraw | sleep 2") -- so that the message can be read
  end
end

vim.api.nvim_create_autocmd("VimLeavePre", {
  group = vim.api.nvim_create_augroup("wrenn_session", {}), callback = leave,
})

return M
