-- Names and passwords for a remote. They travel in the environment of the one
-- git that needs them, and a credential helper on its command line hands them
-- over: to the scheme, host and port they are for, and to nobody else.

local core = require("wrenn.core")
local errors = require("wrenn.errors")
local url = require("wrenn.url")
local words = require("wrenn.git.words")

local credentials = {}

---@class wrenn.git.Credentials
---@field username string
---@field password string
---@field origin? string   scheme, host and port they are for
---@field stored? string   the remote's URL when that holds others

-- The helper git starts as `sh -c 'f() ...; f' get`. The values are the
-- environment's, printf is the shell's own: no command line shows them.
local HELPER = [[!f() { test "$1" = get || return 0; p= h=; ]]
  .. [[while IFS="=" read -r k v; do case "$k" in protocol) p=$v;; ]]
  .. [[host) h=$v;; esac; done; ]]
  .. [[test "$p://$h" = "$WRENN_GIT_ORIGIN" || return 0; ]]
  .. [[printf "username=%s\npassword=%s\n" "$WRENN_GIT_USERNAME" ]]
  .. [["$WRENN_GIT_PASSWORD"; }; f]]

-- scheme, what stands before "@" in the authority, host and port, the rest.
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

--- An http or https URL without the credentials in it, its origin and those
--- credentials, if any; nil for other addresses.
---@param address string
---@return string|nil clean
---@return string origin
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

-- A line end would add fields to what git is told; newer ones refuse "\r" too.
local function check_line(value, name, fname, level)
  if value:find("[\r\n%z]") then
    words.refuse("option", name, fname, "it holds a line end or a NUL byte",
      level + 1)
  end
  return value
end

--- The options `username` and `password`, checked; nil without them. Misuse
--- raises; `level` is error's, from here.
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

--- The credentials for an address that is known before the first request:
--- those of the options, else those in the address. Raises as `given` does.
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

--- What git needs on its command line to ask for the credentials.
function credentials.words(cred)
  return {
    "-c", "credential.helper=", "-c", "credential.helper=" .. HELPER,
    cred.stored and ("--config-env=url.%s.insteadOf=WRENN_GIT_STORED")
      :format((credentials.take_apart(cred.stored))) or nil,
  }
end

--- The environment that answers it.
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

-- A shorter one is part of many a word.
local LEAST_SECRET = 6

--- Takes the secret out of a text: as it is, escaped for a URL (git writes
--- the digits small) and as an HTTP header has it. A name without a password
--- is a token, mostly. A short one is taken out where a URL has it, and nowhere
--- else: the rest of the text is not to suffer.
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

--- The directory that git clones an http or https address into by itself; nil
--- for other addresses and those without a path.
function credentials.directory_of(address)
  local scheme, _, _, rest = split(address)
  local path = is_http(scheme) and rest:match("^[^?#]*"):gsub("/+$", "")
  local name = path and path:gsub("/%.git$", ""):match("([^/]+)$")
  name = name and name:gsub("%.git$", "")
  return name ~= "" and name or nil
end

return credentials
