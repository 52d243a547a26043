--- Capsules that run Python code in a Jupyter kernel, which keeps its state
--- between calls.

local capsules = require("wrenn.capsule")
local check = require("wrenn.check")
local cleanup = require("wrenn.task.cleanup")
local core = require("wrenn.core")
local errors = require("wrenn.errors")
local kernels = require("wrenn.code_runner.kernels")
local sessions = require("wrenn.code_runner.session")

---@class wrenn.code_runner
---@field Capsule wrenn.code_runner.Capsule  the class; to call it is the same as
---  `create`
---@field DEFAULT_TEMPLATE string  what its capsules are created from
---@field DEFAULT_KERNEL string  what their code runs in
local M = {
  DEFAULT_TEMPLATE = kernels.TEMPLATE,
  DEFAULT_KERNEL = kernels.DEFAULT,
}

local DEFAULT_LIMIT = 30

---@class wrenn.code_runner.Capsule: wrenn.Capsule
---@overload fun(opts?: wrenn.code_runner.Options): wrenn.code_runner.Capsule|nil, wrenn.Error?
---@field kernel string  the kernelspec of its code; once a kernel has been
---  started, the one that there was
local Code = setmetatable({ is_code_capsule = true }, { __index = capsules })
Code.__index = Code

---@class wrenn.code_runner.Context
---@field id string       the kernel's
---@field kernel string   the kernelspec's name
---@field state? string   "idle", "busy", ... as list_contexts found it
---@field is_default? boolean  what run_code without a context uses

local extension = capsules.extension

local function spec_of(base)
  local spec = { kernel = "string" }
  for name, kind in pairs(base) do
    spec[name] = kind
  end
  return spec
end

local create_spec = spec_of(extension.create_spec)
local connect_spec = spec_of(extension.connect_spec)

-- Initializes a new object; passes a failure on.
local function set_up(self, err, kernel)
  if not self then
    return nil, err
  end
  self.kernel = kernel or M.DEFAULT_KERNEL
  self.sessions = {} -- of contexts, by kernel id
  self.starting = 0 -- number of contexts being created
  self.default = sessions.new(self, {
    replaceable = true,
    is_taken = function(id)
      return self.sessions[id] ~= nil
    end,
  })
  return self
end

-- ---- life ------------------------------------------------------------------

---@class wrenn.code_runner.Options: wrenn.CapsuleOptions
---@field template? string  "code-runner-beta"
---@field kernel? string    a kernelspec's name; "wrenn", which is the default,
---  stands for "python3", or for Jupyter's own default, where it is not
---  installed. NotFoundError by the first use when another name is not

--- Creates a capsule that runs code. POST /v1/capsules.
---@param opts? wrenn.code_runner.Options
---@return wrenn.code_runner.Capsule|nil
---@return wrenn.Error? err
function Code.create(opts)
  opts = extension.options(opts, "create", create_spec)
  local own = { template = M.DEFAULT_TEMPLATE }
  for name, value in pairs(opts) do
    own[name] = value
  end
  local self, err = extension.create(Code, own)
  return set_up(self, err, opts.kernel)
end

--- Connects to an existing capsule, like wrenn.Capsule.connect. If its default
--- kernel is running, it is used with its present state.
---@param id string
---@param opts? table  as for wrenn.Capsule.connect, and `kernel`
---@return wrenn.code_runner.Capsule|nil
---@return wrenn.Error? err
function Code.connect(id, opts)
  check.dot(id, "is_capsule", "connect")
  check.text(id, "id", "connect")
  opts = extension.options(opts, "connect", connect_spec)
  local self, err = extension.connect(Code, id, opts)
  return set_up(self, err, opts.kernel)
end

--- Closes the sockets to the kernels. The capsule and its kernels keep running,
--- and running code opens a socket again. May be called again.
function Code:close()
  check.self(self, "is_code_capsule", "close")
  local closing = { self.default:drop() }
  for _, session in pairs(self.sessions) do
    closing[#closing + 1] = session:drop()
  end
  cleanup.run(nil, "close", function()
    for _, wait in ipairs(closing) do
      wait()
    end
    return true
  end)
end

--- Destroys a capsule, after closing its sockets; otherwise like
--- wrenn.Capsule.destroy. DELETE /v1/capsules/{id}.
---@param self_or_id wrenn.code_runner.Capsule|string
---@param opts? {wait?: boolean, timeout?: number}  timeout: seconds (30)
---@return true|nil
---@return wrenn.Error? err
function Code.destroy(self_or_id, opts)
  if type(self_or_id) == "table" and self_or_id.is_code_capsule then
    self_or_id:close()
  end
  return capsules.destroy(self_or_id, opts)
end

function Code:__close()
  self:close()
  if self.owned == core.pid() then
    cleanup.run(self.client, "destroy " .. self.id, self.destroy, self)
  end
end

function Code:__tostring()
  return "wrenn.code_runner.Capsule (" .. self.id .. ")"
end

-- ---- contexts --------------------------------------------------------------

-- The session of a context (or its id); nil means the default one.
local function session_of(self, context, fname)
  if context == nil then
    return self.default
  end
  local id = type(context) == "table" and context.id or context
  if type(id) ~= "string" or id == "" then
    error(("bad argument 'context' to '%s' (a context expected)")
      :format(fname), 3)
  end
  if id == self.default.id then
    return self.default
  end
  local session = self.sessions[id]
  if not session then
    session = sessions.new(self, { id = id })
    self.sessions[id] = session
  end
  return session
end

-- A string as Python source, for arbitrary bytes.
local function python_bytes(text)
  return "b'" .. text:gsub("[^%w/._-]", function(byte)
    return ("\\x%02x"):format(byte:byte())
  end) .. "'"
end

-- Changes to the home directory: the only way to start there that does not
-- depend on Jupyter's configuration.
local function change_directory(self, context, cwd)
  local execution, err = session_of(self, context):run(
    "__import__('os').chdir(" .. python_bytes(cwd) .. ")",
    { timeout = DEFAULT_LIMIT, jupyter_timeout = DEFAULT_LIMIT, silent = true })
  local failed = execution and execution.error
  if failed then
    err = errors.new("ValidationError",
      ("cannot use the directory '%s': %s"):format(cwd, failed.value))
  end
  return not err and true or nil, err
end

---@class wrenn.code_runner.ContextOptions
---@field kernel? string  a kernelspec's name (the capsule's)
---@field cwd? string     of a Python kernel (the home directory)

--- Starts another kernel, for code with its own variables. POST /api/kernels of
--- the capsule's Jupyter.
---@param opts? wrenn.code_runner.ContextOptions
---@return wrenn.code_runner.Context|nil
---@return wrenn.Error? err
function Code:create_context(opts)
  check.self(self, "is_code_capsule", "create_context")
  opts = check.options(opts, "create_context",
    { kernel = "string", cwd = "string" })
  local name = opts.kernel or self.kernel
  -- Waiting for Jupyter is repeated, starting a kernel is not: a failed attempt
  -- may have left one.
  local kernel, err = kernels.retry(self, DEFAULT_LIMIT, function(left)
    return kernels.list(self, left)
  end)
  if kernel then
    self.starting = self.starting + 1
    kernel, err = kernels.start(self, name, DEFAULT_LIMIT)
    self.starting = self.starting - 1
  end
  if not kernel then
    return nil, err
  end
  local context = { id = kernel.id, kernel = kernel.name or name }
  session_of(self, context)
  if opts.cwd then
    local ok
    ok, err = change_directory(self, context, opts.cwd)
    if not ok then
      cleanup.run(self.client, "remove the context " .. context.id,
        self.remove_context, self, context)
      return nil, err
    end
  end
  return context
end

--- Lists the kernels of the capsule. GET /api/kernels of its Jupyter.
---@return wrenn.code_runner.Context[]|nil
---@return wrenn.Error? err
function Code:list_contexts()
  check.self(self, "is_code_capsule", "list_contexts")
  local list, err = kernels.retry(self, DEFAULT_LIMIT, function(left)
    return kernels.list(self, left)
  end)
  if not list then
    return nil, err
  end
  local contexts = {}
  for i, kernel in ipairs(list) do
    contexts[i] = { id = kernel.id, kernel = kernel.name,
      state = kernel.execution_state,
      is_default = kernel.id == self.default.id }
  end
  return contexts
end

-- Calls a function of `kernels` with the kernel of a context. If the default
-- one has not been started, there is nothing to do.
local function act(self, context, fname, action, lets_go)
  local session = session_of(self, context, fname)
  if not session.id then
    return true
  end
  local ok, err = action(self, session.id)
  if lets_go and (ok or err.status_code == 404) then
    local wait = session:drop()
    if wait then
      cleanup.run(nil, "close", wait)
    end
  end
  return ok and true, err, session
end

--- Restarts a context's kernel, which loses its variables. Running code ends
--- with the error "Disconnected". POST /api/kernels/{id}/restart.
---@param context? wrenn.code_runner.Context|string  the default one when absent
---@return true|nil
---@return wrenn.Error? err
function Code:restart_context(context)
  check.self(self, "is_code_capsule", "restart_context")
  local ok, err = act(self, context, "restart_context", function(capsule, id)
    return kernels.restart(capsule, id, DEFAULT_LIMIT)
  end, true)
  return ok, err
end

--- Interrupts the code running in a context, like ^C: a KeyboardInterrupt in
--- Python. POST /api/kernels/{id}/interrupt.
---@param context? wrenn.code_runner.Context|string  the default one when absent
---@return true|nil
---@return wrenn.Error? err
function Code:interrupt_context(context)
  check.self(self, "is_code_capsule", "interrupt_context")
  local ok, err = act(self, context, "interrupt_context", kernels.interrupt)
  return ok, err
end

--- Removes a context and its kernel. Running code ends with the error
--- "Disconnected". DELETE /api/kernels/{id}.
---@param context? wrenn.code_runner.Context|string  the default one when absent; the
---  next code then starts a new one
---@return true|nil
---@return wrenn.Error? err
function Code:remove_context(context)
  check.self(self, "is_code_capsule", "remove_context")
  local ok, err, session = act(self, context, "remove_context", kernels.remove,
    true)
  if ok and session then
    self.sessions[session.id] = nil
    if session == self.default then
      session.id = nil
    end
  end
  return ok, err
end

-- ---- running ---------------------------------------------------------------

local run_spec = {
  timeout = "seconds", jupyter_timeout = "seconds", language = "string",
  context = "table|string", on_result = "callable", on_stdout = "callable",
  on_stderr = "callable", on_error = "callable",
}

---@class wrenn.code_runner.RunOptions
---@field timeout? number          seconds for the code (30)
---@field jupyter_timeout? number  seconds to wait for Jupyter (30)
---@field context? wrenn.code_runner.Context|string  else the default one
---@field on_result? fun(result: wrenn.code_runner.Result)  called with each result as
---  it comes
---@field on_stdout? fun(text: string)  likewise with what it prints
---@field on_stderr? fun(text: string)  likewise with what it prints as errors
---@field on_error? fun(error: wrenn.code_runner.Error)  called once if it fails
---@field language? "python"  there is no other

--- Runs code in the capsule's kernel, or in that of a context. Calls for the
--- same kernel run one after another. A failure of the code is the `error` of
--- the result. So is "Timeout", after which the kernel has been interrupted,
--- and "Disconnected", if the kernel died or its socket closed. If the default
--- kernel is gone, the next call starts a new one. GET and POST /api/kernels,
--- WebSocket /api/kernels/{id}/channels of the capsule's Jupyter, on port 8888.
---@param code string
---@param opts? wrenn.code_runner.RunOptions
---@return wrenn.code_runner.Execution|nil
---@return wrenn.Error? err  if there is no Jupyter to run it: TimeoutError
---  after
---  jupyter_timeout; at once if Jupyter refuses
function Code:run_code(code, opts)
  check.self(self, "is_code_capsule", "run_code")
  check.arg(code, "code", "run_code", "string")
  opts = check.options(opts, "run_code", run_spec)
  if opts.language and opts.language ~= "python" then
    error(("language='%s' is not supported; only 'python'. Use the 'kernel'"
      .. " option of create to run another kernelspec."):format(opts.language),
      2)
  end
  local session = session_of(self, opts.context, "run_code")
  if session:is_mine() then
    error("'run_code' was called by a callback of itself; use another context",
      2)
  end
  local execution, err = session:run(code, {
    timeout = opts.timeout or DEFAULT_LIMIT,
    jupyter_timeout = opts.jupyter_timeout or DEFAULT_LIMIT,
    on_result = opts.on_result, on_stdout = opts.on_stdout,
    on_stderr = opts.on_stderr, on_error = opts.on_error,
  })
  if err and err:is("NotFoundError") and session.id then
    self.sessions[session.id] = nil
  end
  return execution, err
end

M.Capsule = setmetatable({}, {
  __index = Code,
  __call = function(_, opts)
    local self, err = Code.create(opts)
    return self, err
  end,
})

setmetatable(M, {
  __index = function(_, name)
    if name == "Sandbox" then
      io.stderr:write("wrenn: wrenn.code_runner.Sandbox is deprecated, use"
        .. " wrenn.code_runner.Capsule\n")
      rawset(M, "Sandbox", M.Capsule)
      return M.Capsule
    end
  end,
})

return M
