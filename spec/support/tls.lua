-- TLS in front of a server: certificates made for one run, and socat.

local expect = require("spec.support.expect")

local tls = {}
tls.__index = tls

local function run(command)
  assert(os.execute("{ " .. command .. "; } >/dev/null 2>&1"), command)
end

-- Keys of this kind are made at once.
local NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256"

--- Makes a file with the certificate of a CA, and returns its path.
function tls.authority()
  local path = os.tmpname()
  run(("openssl req -x509 %s -keyout /dev/null -out %s -days 2 -subj /CN=ca")
    :format(NEW_KEY, path))
  return path
end

--- Makes a folder with a CA (ca.pem) and certificates (NAME.pem, key and all):
--- good, other_host, expired, and self_signed, which no CA vouches for.
function tls.certificates()
  local dir = os.tmpname()
  os.remove(dir)
  run("mkdir -m 700 " .. dir)
  run(("cd %s && openssl req -x509 %s -keyout ca.key -out ca.pem -days 2"
    .. " -subj /CN=ca -addext keyUsage=keyCertSign"):format(dir, NEW_KEY))
  local function issue(name, alt, dates)
    run(("cd %s && openssl req %s -keyout %s.key -out %s.csr -subj /CN=%s")
      :format(dir, NEW_KEY, name, name, name))
    run(("cd %s && printf 'subjectAltName=%s' > %s.ext && openssl x509 -req"
      .. " -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out %s.crt"
      .. " -extfile %s.ext %s && cat %s.crt %s.key > %s.pem"):format(dir, alt,
        name, name, name, name, dates, name, name, name))
  end
  local here = "DNS:localhost,DNS:*.localhost,IP:127.0.0.1,IP:::1"
  issue("good", here, "-days 2")
  issue("other_host", "DNS:elsewhere.example", "-days 2")
  issue("expired", here, "-days 0") -- newer ones take no less
  run(("while openssl x509 -checkend 0 -noout -in %s/expired.crt; do"
    .. " sleep 0.1; done"):format(dir))
  run(("cd %s && openssl req -x509 %s -keyout s.key -out s.crt -days 2"
    .. " -subj /CN=localhost -addext subjectAltName=%s"
    .. " && cat s.crt s.key > self_signed.pem"):format(dir, NEW_KEY, here))
  return dir
end

--- Starts a TLS listener that passes everything on to a port of this machine.
--- `how` is further options of socat's listener, pf=ip6,bind=[::1] for one.
function tls.front(certificate, port, how)
  local self = setmetatable({}, tls)
  -- A file, not a pipe: that would be full after some dozen connections.
  self.log = os.tmpname()
  self.pipe = assert(io.popen(("echo $$; exec socat -d -d"
    .. " OPENSSL-LISTEN:0,%s,cert=%s,verify=0,fork,reuseaddr"
    .. " TCP:127.0.0.1:%s 2>%s"):format(how or "bind=127.0.0.1", certificate,
      port, self.log)))
  self.pid = assert(self.pipe:read("*l"))
  self.port = expect.soon(function()
    local file = assert(io.open(self.log))
    local text = file:read("*a")
    file:close()
    return text:match("listening on AF=%d+ .-:(%d+)\n")
  end)
  return self
end

function tls:stop()
  os.execute("kill " .. self.pid)
  self.pipe:close()
  os.remove(self.log)
end

return tls
