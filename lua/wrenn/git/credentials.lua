-- User names and passwords for a remote. They are passed in the environment of
-- the git command that needs them, and a credential helper on its command line
-- gives them to the scheme, host and port they are for, and to nothing else.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local url = require("wrenn.wire.url")
local words = require("wrenn.git.words")

local credentials = {}

---@class wrenn.git.Credentials
---@field username string  as git asks for it
---@field password string  likewise
---@field origin? string   the scheme, host and port they are for
---@field stored? string   the URL of the remote if it contains other ones

-- The helper that git starts as `sh -c 'f() ...; f' get`. The values come from
-- the environment, and printf is a shell builtin: no command line shows them.
local HELPER = [[!f() { test "$1" = get || return 0; p= h=; ]]
  .. [[while IFS="=" read -r k v; do case "$k" in protocol) p=$v;; ]]
  .. [[host) h=$v;; esac; done; ]]
  .. [[test "$p://$h" = "$WRENN_GIT_ORIGIN" || return 0; ]]
  .. [[printf "username=%s\npassword=%s\n" "$WRENN_GIT_USERNAME" ]]
  .. [["$WRENN_GIT_PASSWORD"; }; f]]

-- The scheme, the part before "@" in the authority, host and port, the rest.
local function split(address)
  local scheme, authority, rest =
    address:match("^(%a[%w+.-]*)://([^/?#]*)(.*)$")
  if not scheme then
    return nil
  end
  local user, host = authority:match("^(.*)@(.-)$")
  return scheme, user, host or authority, rest
end

local function is_http(scheme)
  return scheme == "http" or scheme == "https"
end

--- Whether a text is an address rather than the name of a remote.
function credentials.is_address(text)
  return text:find(":", 1, true) ~= nil or text:find("^[./]") ~= nil
end

--- Splits an http or https URL: the URL without credentials, its origin, and
--- the credentials if it has any. Returns nil for other addresses.
---@param address string
---@return string|nil clean
---@return string? origin
---@return wrenn.git.Credentials? embedded
function credentials.take_apart(address)
  local scheme, user, host, rest = split(address)
  if not is_http(scheme) then
    return nil
  end
  local origin = scheme .. "://" .. host
  local embedded
  if user then
    local name, password = user:match("^([^:]*):?(.*)$")
    embedded = { username = url.unescape(name),
      password = url.unescape(password) }
  end
  return origin .. rest, origin, embedded
end

-- A newline would add fields to git's input; newer versions reject "\r" as
-- well.
local function check_line(value, name, fname, level)
  if value:find("[\r\n%z]") then
    words.refuse("option", name, fname, "it holds a line end or a NUL byte",
      level + 1)
  end
  return value
end

--- Checks the options `username` and `password`. Returns nil without them.
--- Raises misuse; `level` is that of error, counted from here.
---@return wrenn.git.Credentials|nil
function credentials.given(call, fname, level)
  if call.password and not call.username then
    words.refuse("option", "password", fname, "it needs a username", level)
  end
  return call.username and {
    username = check_line(call.username, "username", fname, level),
    password = check_line(call.password or "", "password", fname, level),
  }
end

--- The credentials for an address known in advance: those of the options, else
--- those in the address. Raises like `given`.
---@return string address  without credentials
---@return wrenn.git.Credentials|nil
function credentials.for_address(call, address, name, fname, level)
  local given = credentials.given(call, fname, level + 1)
  local clean, origin, found = credentials.take_apart(address)
  if not clean then
    local _, user = split(address)
    if given then
      words.refuse("option", "username", fname,
        "credentials go to http and https addresses only", level)
    elseif user and user:find(":", 1, true) then
      words.refuse("argument", name, fname,
        "only an http or https address may hold a password", level)
    end
    return address
  end
  if found and not given then
    check_line(found.username, name, fname, level)
    check_line(found.password, name, fname, level)
  end
  found = given or found
  if found then
    found.origin = origin
  end
  return clean, found
end

--- The arguments that make git ask the helper.
function credentials.words(cred)
  return {
    "-c", "credential.helper=", "-c", "credential.helper=" .. HELPER,
    cred.stored and ("--config-env=url.%s.insteadOf=WRENN_GIT_STORED")
      :format((credentials.take_apart(cred.stored))) or nil,
  }
end

--- The environment that the helper reads.
function credentials.envs(cred)
  return {
    WRENN_GIT_ORIGIN = cred.origin, WRENN_GIT_USERNAME = cred.username,
    WRENN_GIT_PASSWORD = cred.password, WRENN_GIT_STORED = cred.stored,
  }
end

--- An http or https URL with the credentials in it, escaped.
function credentials.embed(address, cred)
  local scheme, _, host, rest = split(address)
  return ("%s://%s:%s@%s%s"):format(scheme, url.escape(cred.username),
    url.escape(cred.password), host, rest)
end

-- Shorter ones occur inside ordinary words.
local LEAST_SECRET = 6

--- Removes the secret from a text: as it is, escaped for a URL (git writes
--- hexadecimal digits in lower case), and as in an HTTP header. A user name
--- without a password is usually a token. A short one is removed only where a
--- URL has it, so that the rest of the text stays readable.
function credentials.scrub(cred, text)
  if not cred or not text then
    return text
  end
  local secret = cred.password ~= "" and cred.password or cred.username
  local escaped = url.escape(secret)
  local before, after = "", ""
  if #secret < LEAST_SECRET then
    before, after = cred.password ~= "" and ":" or "//", "@"
  end
  for _, shape in ipairs({
    escaped, (escaped:gsub("%%%x%x", string.lower)), secret,
  }) do
    text = errors.replace(text, before .. shape .. after,
      before .. "***" .. after)
  end
  return errors.replace(text,
    core.base64_encode(cred.username .. ":" .. cred.password), "***")
end

--- The directory that git clones an http or https address into by default; nil
--- for other addresses and those without a path.
function credentials.directory_of(address)
  local scheme, _, _, rest = split(address)
  local path = is_http(scheme) and rest:match("^[^?#]*"):gsub("/+$", "")
  local name = path and path:gsub("/%.git$", ""):match("([^/]+)$")
  name = name and name:gsub("%.git$", "")
  return name ~= "" and name or nil
end

return credentials
