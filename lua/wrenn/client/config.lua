-- The settings of a client: an argument, else an environment variable, else the
-- default.

local errors = require("wrenn.errors")
local json = require("wrenn.wire.json")
local url = require("wrenn.wire.url")

local config = {}

local DEFAULT_BASE_URL = "https://app.wrenn.dev/api"
local PRODUCT_HOST = "app.wrenn.dev"
local PRODUCT_PROXY_DOMAIN = "wrenn.dev"

--- The options of a client, for check.options.
config.spec = {
  api_key = "string", base_url = "string", proxy_domain = "string",
  timeout = "seconds", connect_timeout = "seconds", retries = "integer",
  proxy = "string|boolean", ca_file = "string", insecure = "boolean",
  user_agent = "string", on_event = "callable", auto_resume = "boolean",
  keepalive = "seconds",
}

-- A malformed URL may contain credentials anywhere.
local function shown(text)
  local scheme, rest = text:match("^(%a[%w+.-]*://)(.*)$")
  return (scheme or "") .. ((rest or text):gsub("^.*@", "***@"))
end

local function misconfigured(message)
  return nil, errors.new("ConfigurationError", message)
end

-- An empty argument, like an empty variable, counts as absent.
local function given(value)
  return value ~= "" and value or nil
end

local function from_environment(name)
  return given(os.getenv(name))
end

local function host_of(authority)
  return authority:match("^%[([^%]]+)%]") or authority:match("^[^:]+")
end

local PROXY_SCHEMES = {
  http = true, https = true,
  socks4 = true, socks4a = true, socks5 = true, socks5h = true,
}

-- The form that the core takes: a URL, "" for no proxy, nil for that of the
-- environment, which libcurl reads.
local function proxy_of(option)
  if type(option) == "boolean" then
    return not option and "" or nil
  end
  local scheme = option and option:match("^(%w+)://")
  if scheme and not PROXY_SCHEMES[scheme:lower()] then
    return misconfigured("the proxy must be an http, https, socks4, socks4a,"
      .. " socks5 or socks5h URL, not '" .. scheme .. "'")
  end
  if option and option:find("[%c%s]") then
    return misconfigured("the proxy's URL holds white space or control"
      .. " characters")
  end
  return option
end

-- What errors must not contain: the key, and the proxy passwords in all forms.
local function secrets_of(key, proxy)
  local list = { key }
  for _, from in ipairs({ proxy or "", os.getenv("http_proxy") or "",
    os.getenv("https_proxy") or "", os.getenv("HTTPS_PROXY") or "",
    os.getenv("all_proxy") or "", os.getenv("ALL_PROXY") or "" })
  do
    local user = from:gsub("^%w+://", ""):match("^(.*)@")
    local password = user and user:match(":(.*)$")
    if password and password ~= "" then
      list[#list + 1] = password
      list[#list + 1] = url.unescape(password)
    end
  end
  return list
end

-- Subdomains of an IP address do not exist; localhost takes its place for those
-- of this machine.
local function domain_of_host(authority)
  local host = host_of(authority)
  if host == PRODUCT_HOST then
    return PRODUCT_PROXY_DOMAIN
  elseif host:find("^127%.") or host == "::1" then
    return "localhost" .. (authority:match(":%d+$") or "")
  end
  return authority
end

local function proxy_domain_of(option, authority)
  return option or from_environment("WRENN_PROXY_DOMAIN")
    or domain_of_host(authority)
end

--- Resolves checked options. Returns the settings, or nil, ConfigurationError.
function config.resolve(opts)
  local ready, why = json.ready()
  if not ready then
    return misconfigured("no sound JSON: " .. why)
  end
  local key = given(opts.api_key) or from_environment("WRENN_API_KEY")
  if not key then
    return misconfigured("No API key provided: set WRENN_API_KEY or pass"
      .. " api_key")
  end
  if key:find("[%c%s]") then
    return misconfigured("the API key holds white space or control characters")
  end
  local base = given(opts.base_url) or from_environment("WRENN_BASE_URL")
    or DEFAULT_BASE_URL
  local scheme, authority, path = url.split(base)
  if not scheme then
    return misconfigured("the base URL must look like https://host/path, not '"
      .. shown(base) .. "'")
  end
  local proxy, err = proxy_of(opts.proxy)
  if err then
    return nil, err
  end
  local domain = proxy_domain_of(opts.proxy_domain, authority)
  if not domain:find("^[%w.-]+:?%d*$") and domain ~= authority then
    return misconfigured("the proxy domain must look like host or host:port,"
      .. " not '" .. shown(domain) .. "'")
  end
  local settings = {
    -- A function, so that a dump of a client does not contain the key.
    key = function()
      return key
    end,
    base_url = scheme .. "://" .. authority .. path,
    scheme = scheme,
    proxy_domain = domain,
    timeout = opts.timeout or 30,
    connect_timeout = opts.connect_timeout or 10,
    retries = opts.retries or 2,
    proxy = proxy,
    ca_file = opts.ca_file,
    insecure = opts.insecure or false,
    user_agent = opts.user_agent,
    on_event = opts.on_event,
    auto_resume = opts.auto_resume or false,
    keepalive = opts.keepalive,
  }
  errors.keep_secret(settings, secrets_of(key, proxy))
  return settings
end

return config
