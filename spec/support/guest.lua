-- Starts spec/support/guest.py in a capsule.

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- Returns the port it listens on; by default a free one of 127.0.0.1.
return function(capsule, address, port)
  assert(capsule.files:write("/tmp/guest.py",
    read_file("spec/support/guest.py")))
  local stream = assert(capsule.commands:stream("python3",
    { args = { "-I", "/tmp/guest.py", address or "127.0.0.1",
      tostring(port or 0) } }))
  local text = ""
  while not text:find("\n") do
    local event = assert(stream:read())
    text = text .. (event.type == "stdout" and event.data or "")
    assert(event.type ~= "exit", "the service did not start")
  end
  stream:close()
  return tonumber(text:match("%d+"))
end
