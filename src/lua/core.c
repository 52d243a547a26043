/* wrenn.core: the module and its plain functions. */
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "../base64.h"
#include "module.h"

static int core_now(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
}

/* Identifies the process: a forked child differs from its parent. */
static int core_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static int core_random(lua_State *L) {
  char bytes[256];
  lua_Integer count = luaL_checkinteger(L, 1);
  luaL_argcheck(L, count > 0 && count <= (lua_Integer)sizeof(bytes), 1,
                "1 to 256 expected");
  if (getentropy(bytes, (size_t)count))
    return luaL_error(L, "no random bytes to be had");
  lua_pushlstring(L, bytes, (size_t)count);
  return 1;
}

static int core_base64_encode(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len <= SIZE_MAX / 4 * 3 - 3, 1, "too long");
  char *text = lua_newuserdata(L, WRENN_BASE64_ENCODED(len) + 1);
  wrenn_base64_encode(bytes, len, text);
  lua_pushlstring(L, text, WRENN_BASE64_ENCODED(len));
  return 1;
}

static int core_base64_decode(lua_State *L) {
  size_t len, decoded;
  const char *text = luaL_checklstring(L, 1, &len);
  char *bytes = lua_newuserdata(L, WRENN_BASE64_DECODED(len) + 1);
  if (wrenn_base64_decode(text, len, bytes, &decoded))
    lua_pushlstring(L, bytes, decoded);
  else
    lua_pushnil(L);
  return 1;
}

static const luaL_Reg functions[] = {{"now", core_now},
                                     {"pid", core_pid},
                                     {"random", core_random},
                                     {"base64_encode", core_base64_encode},
                                     {"base64_decode", core_base64_decode},
                                     {NULL, NULL}};

WRENN_API int luaopen_wrenn_core(lua_State *L);

int luaopen_wrenn_core(lua_State *L) {
  binding_begin(L);
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  binding_add_hash(L);
  binding_add_interrupt(L);
  binding_add_loop(L);
  binding_add_json(L);
  binding_add_requests(L);
  binding_add_sockets(L);
  binding_add_stdio(L);
  binding_add_terminal(L);
  binding_add_tree(L);
  lua_pushstring(L, wrenn_version());
  lua_setfield(L, -2, "_VERSION");
  /* The module reads it out of the file where another Lua cannot load it. */
  lua_pushliteral(L, "wrenn.core was built for " LUA_VERSION);
  lua_setfield(L, -2, "built_for");
  return 1;
}
