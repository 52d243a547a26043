rockspec_format = "3.0"
package = "wrenn"
version = "scm-1"
source = {
  url = "git+https://github.com/wrennhq/wrenn-lua.git",
}
description = {
  summary = "Capsules from Lua: run commands, terminals and files in them",
  detailed = [[
Creates capsules (small virtual machines) on a Wrenn server and runs commands,
terminals and file transfers in them. Plain calls block; inside tasks they run
side by side. A C core on libcurl and libuv does the I/O. Comes with
wrenn-local, a server for one machine. Linux.]],
  homepage = "https://github.com/wrennhq/wrenn-lua",
  license = "Apache-2.0",
}
supported_platforms = { "linux" }
dependencies = {
  "lua >= 5.1, < 5.5",
  "lua-cjson >= 2.1",
}
-- Libraries only: Debian keeps curl's headers where LuaRocks does not look.
external_dependencies = {
  CURL = { library = "curl" },
  UV = { library = "uv" },
  SSL = { library = "ssl" },
  CRYPTO = { library = "crypto" },
}
-- CMake rather than LuaRocks's own builder: the module needs link options that
-- one cannot give, and wrenn-local is a program.
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "RelWithDebInfo",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    CMAKE_INSTALL_BINDIR = "$(BINDIR)",
    CMAKE_INSTALL_DOCDIR = "$(PREFIX)/doc",
    LUA_INCLUDE_DIR = "$(LUA_INCDIR)",
    WRENN_LUA = "", -- the one of these headers
    WRENN_LMOD_DIR = "$(LUADIR)",
    WRENN_CMOD_DIR = "$(LIBDIR)",
    WRENN_SDK = "OFF",
    WRENN_TESTS = "OFF",
    WRENN_WERROR = "OFF",
  },
}
-- luarocks test ROCKSPEC [-- LUA=5.1]
test = {
  type = "command",
  command = "make test",
}
