-- A scripted peer for the API and the Jupyter of a capsule.

local peer = require("spec.support.peer")

local CAPSULE = '{"id":"cl-1","status":"running"}'

--- Starts a peer. script: `http` runs for each request to Jupyter and may
--- answer it; `exec` runs for each request to execute code, with its id and
--- number; `say(id, type, content)` replies to that; `kernels` are the initial
--- kernels, to which started ones are added; `specs` are the only kernelspecs.
--- The capsule runs unless a script sets `state`, what the API answers.
return function(script)
  return peer.start(([[
    local cjson = require("cjson")
    kernels, specs = kernels or '%s', %s
    local function say(id, kind, content)
      c:text(cjson.encode({ header = { msg_type = kind }, msg_type = kind,
        parent_header = id and { msg_id = id } or nil,
        content = content }))
    end
    local function idle(id)
      say(id, "execute_reply", { status = "ok" })
      say(id, "status", { execution_state = "idle" })
    end
    local function serve(req)
      %s
      if req.headers.upgrade then
        c:upgrade(req)
        while true do
          local opcode, data = c:read_frame()
          if not opcode or opcode == 8 then
            log("socket closed")
            return c:close()
          end
          local request = cjson.decode(data)
          local id, code = request.header.msg_id, request.content.code
          runs = (runs or 0) + 1
          %s
        end
      elseif req.path == "/api/kernelspecs" then
        c:respond(200, specs or "no")
      elseif req.path == "/api/kernels" and req.method == "POST" then
        local name = cjson.decode(req.body).name
        if specs and not specs:find('"' .. name .. '":{', 1, true) then
          return c:respond(500, cjson.encode({ message = "Unhandled error",
            reason = cjson.null, traceback = "Traceback\n  raise x\n"
            .. "jupyter_client.kernelspec.NoSuchKernel: No such kernel named "
            .. name .. "\n" }))
        end
        started = (started or 0) + 1
        local kernel = ('{"id":"k-new%%s","name":"%%s"}'):format(
          started > 1 and started or "", name)
        if kernels == "[]" then
          kernels = "[" .. kernel .. "]"
        else
          kernels = kernels:sub(1, -2) .. "," .. kernel .. "]"
        end
        c:respond(201, kernel)
      elseif req.path == "/api/kernels" then
        c:respond(200, kernels)
      elseif req.method == "DELETE" then
        c:respond(204, "")
      else
        c:respond(200, '{"id":"k"}')
      end
    end
    while true do
      local req = c:request()
      if not req then return end
      if req.path:find("^/v1/") then
        c:respond(200, state or '%s')
      else
        serve(req)
      end
    end
  ]]):format(script.kernels or '[{"id":"k-1","name":"wrenn"}]',
    script.specs and ("%q"):format(script.specs) or "nil",
    script.http or "", script.exec or "idle(id)", CAPSULE))
end
