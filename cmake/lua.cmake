# Finds the headers of the Lua that WRENN_LUA names. Sets LUA_INCLUDE_DIRS,
# LUA_LIBRARIES where pkg-config knows them, lua_found (its version), and lua_abi
# (the version in the names of folders).

# Only Lua's headers: the interpreter that loads the module brings the code.
# Give LUA_INCLUDE_DIR where pkg-config does not know the Lua you want.
if(NOT LUA_INCLUDE_DIR)
  if(WRENN_LUA STREQUAL "luajit")
    # LuaJIT also loads what was built with the headers of Lua 5.1.
    pkg_search_module(LUA REQUIRED luajit lua5.1 lua-5.1 lua51)
  elseif(WRENN_LUA MATCHES "^5\\.[134]$")
    string(REPLACE "." "" lua_digits ${WRENN_LUA})
    # As Debian, FreeBSD and Arch name it; Fedora's has no version in its name.
    pkg_search_module(
      LUA REQUIRED lua${WRENN_LUA} lua-${WRENN_LUA} lua${lua_digits}
      lua>=${WRENN_LUA})
  else()
    message(FATAL_ERROR "WRENN_LUA: 5.1, 5.3, 5.4 or luajit, not ${WRENN_LUA}")
  endif()
  pkg_get_variable(LUA_INCLUDE_DIR ${LUA_MODULE_NAME} includedir)
  list(APPEND LUA_INCLUDE_DIRS ${LUA_INCLUDE_DIR})
endif()

# A module that was compiled against another Lua's headers does not load, and
# nothing but the headers is sure to tell which Lua's they are.
set(lua_abi ${WRENN_LUA})
if(WRENN_LUA STREQUAL "luajit")
  set(lua_abi 5.1)
endif()
unset(lua_header CACHE)
find_file(lua_header lua.h PATHS ${LUA_INCLUDE_DIR} ${LUA_INCLUDE_DIRS}
          NO_DEFAULT_PATH)
if(NOT lua_header)
  message(FATAL_ERROR "There is no lua.h in ${LUA_INCLUDE_DIR}")
endif()
file(STRINGS ${lua_header} lua_found REGEX "define[ \t]+LUA_VERSION_NUM")
string(REGEX REPLACE ".*LUA_VERSION_NUM[ \t]+([0-9])0([0-9]).*" "\\1.\\2"
       lua_found "${lua_found}")
if(WRENN_LUA AND NOT lua_found STREQUAL lua_abi)
  message(FATAL_ERROR "WRENN_LUA is ${WRENN_LUA}, but ${lua_header} is that of "
          "Lua ${lua_found}: give LUA_INCLUDE_DIR")
endif()
