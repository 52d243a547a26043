-- What a client is set to: argument, then environment, then default.

local errors = require("wrenn.errors")
local url = require("wrenn.url")

local config = {}

local DEFAULT_BASE_URL = "https://app.wrenn.dev/api"
local PRODUCT_HOST = "app.wrenn.dev"
local PRODUCT_PROXY_DOMAIN = "wrenn.dev"

--- The options that a client takes, for check.options.
config.spec = {
  api_key = "string", base_url = "string", proxy_domain = "string",
  timeout = "seconds", connect_timeout = "seconds", retries = "integer",
  proxy = "string|boolean", ca_file = "string", insecure = "boolean",
  user_agent = "string", on_event = "callable",
}

-- A URL that is wrong may have its credentials in any place of it.
local function shown(text)
  local scheme, rest = text:match("^(%a[%w+.-]*://)(.*)$")
  return (scheme or "") .. ((rest or text):gsub("^.*@", "***@"))
end

local function misconfigured(message)
  return nil, errors.new("ConfigurationError", message)
end

-- An empty argument is none, as an empty variable is.
local function given(value)
  return value ~= "" and value or nil
end

local function from_environment(name)
  return given(os.getenv(name))
end

local function host_of(authority)
  return authority:match("^%[([^%]]+)%]") or authority:match("^[^:]+")
end

local function is_loopback(host)
  return host == "localhost" or host:find("%.localhost$")
    or host:find("^127%.") or host == "::1"
end

-- Whether no_proxy names the host: itself, a domain above it, or "*".
local function is_excluded(host)
  local list = from_environment("no_proxy") or from_environment("NO_PROXY")
  for name in (list or ""):gmatch("[^,%s]+") do
    local domain = name:gsub("^%.", "")
    if name == "*" or host == domain
      or host:sub(-#domain - 1) == "." .. domain
    then
      return true
    end
  end
  return false
end

-- As curl reads the environment: upper-case HTTP_PROXY is ignored, because a
-- CGI program's caller can set it. Loopback never goes through a proxy.
local function environment_proxy(scheme, host)
  if is_loopback(host) or is_excluded(host) then
    return nil
  end
  if scheme == "https" then
    return from_environment("https_proxy") or from_environment("HTTPS_PROXY")
  end
  return from_environment("http_proxy")
end

local function proxy_of(option, scheme, host)
  if option == false then
    return nil
  end
  local proxy = option or environment_proxy(scheme, host)
  if proxy and not proxy:find("^%a+://") then
    proxy = "http://" .. proxy
  end
  if proxy and not proxy:find("^http://") then
    return misconfigured("the proxy must be an http:// URL")
  elseif proxy and proxy:find("[%c%s]") then
    return misconfigured("the proxy's URL holds white space or control"
      .. " characters")
  end
  return proxy
end

-- What no error may show: the key, and the proxy's password in its shapes.
local function secrets_of(key, proxy)
  local list = { key }
  local user = proxy and proxy:match("^http://(.*)@")
  local password = user and user:match(":(.*)$")
  if password then
    list[2], list[3] = password, url.unescape(password)
  end
  return list
end

-- No name lies below an address; for those of this machine there is another
-- name.
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
  local proxy, err = proxy_of(opts.proxy, scheme, host_of(authority))
  if err then
    return nil, err
  end
  local domain = proxy_domain_of(opts.proxy_domain, authority)
  if not domain:find("^[%w.-]+:?%d*$") and domain ~= authority then
    return misconfigured("the proxy domain must look like host or host:port,"
      .. " not '" .. shown(domain) .. "'")
  end
  local settings = {
    -- A function, so that no dump of a client shows the key.
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
  }
  errors.keep_secret(settings, secrets_of(key, proxy))
  return settings
end

return config
