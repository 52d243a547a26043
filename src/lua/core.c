/* wrenn.core: the module and its plain functions. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "../base64.h"
#include "binding.h"

static int core_now(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
}

static int core_random(lua_State *L) {
  char bytes[256];
  lua_Integer count = luaL_checkinteger(L, 1);
  luaL_argcheck(L, count > 0 && count <= (lua_Integer)sizeof(bytes), 1,
                "1 to 256 expected");
  for (;;) {
    ssize_t got = getrandom(bytes, (size_t)count, 0);
    if (got == count)
      break;
    if (got < 0 && errno != EINTR)
      return luaL_error(L, "no random bytes to be had");
  }
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

static int core_loop(lua_State *L) {
  wrenn_status status;
  binding_loop **box = lua_newuserdata(L, sizeof(binding_loop *));
  *box = NULL;
  luaL_getmetatable(L, "wrenn.loop");
  lua_setmetatable(L, -2);
  binding_loop *shared = calloc(1, sizeof(*shared));
  if (!shared)
    return binding_push_failure(L, WRENN_E_MEMORY);
  shared->refs = 1;
  shared->loop = wrenn_loop_new(&status);
  *box = shared;
  return shared->loop ? 1 : binding_push_failure(L, status);
}

void binding_new_class(lua_State *L, const char *name, const luaL_Reg *methods,
                       const luaL_Reg *meta) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

static const luaL_Reg functions[] = {{"loop", core_loop},
                                     {"now", core_now},
                                     {"random", core_random},
                                     {"base64_encode", core_base64_encode},
                                     {"base64_decode", core_base64_decode},
                                     {"sha256", binding_sha256},
                                     {"settle", binding_settle},
                                     {"tree", binding_tree},
                                     {"file_type", binding_file_type},
                                     {"make_dirs", binding_make_dirs},
                                     {NULL, NULL}};

WRENN_API int luaopen_wrenn_core(lua_State *L);

int luaopen_wrenn_core(lua_State *L) {
  binding_open_loop(L);
  binding_open_op(L);
  binding_open_hash(L);
  binding_open_relay(L);
  binding_open_tree(L);
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  lua_pushliteral(L, WRENN_VERSION);
  lua_setfield(L, -2, "_VERSION");
  return 1;
}
