-- Services of this machine itself, beside those that run inside capsules.

local host_service = {}

local services = {}

--- Starts spec/support/guest.py at an address. Returns its port.
function host_service.start(address)
  local pipe = assert(io.popen("echo $$; exec python3 -I spec/support/guest.py "
    .. address .. " 0"))
  services[#services + 1] = { pipe = pipe, pid = pipe:read("*n") }
  return pipe:read("*n")
end

--- Ends all that were started.
function host_service.stop_all()
  for _, service in ipairs(services) do
    os.execute("kill " .. service.pid)
    service.pipe:close()
  end
  services = {}
end

return host_service
