/* Sets right what a JSON decoder leaves to its users. */
#include "module.h"

/* Replaces the value at the top by its whole number, where the language has
 * them. Returns whether it did. */
static bool push_whole(lua_State *L) {
#if LUA_VERSION_NUM >= 503
  int whole = 0;
  if (lua_isinteger(L, -1))
    return false;
  lua_Integer number = lua_tointegerx(L, -1, &whole);
  if (!whole)
    return false;
  lua_pop(L, 1);
  lua_pushinteger(L, number);
  return true;
#else
  (void)L;
  return false;
#endif
}

/* What is set here is there already: the walk is not disturbed. */
static void settle(lua_State *L, int container) {
  luaL_checkstack(L, LUA_MINSTACK, "JSON");
  lua_pushnil(L);
  while (lua_next(L, container)) {
    bool changed = false;
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER:
      changed = push_whole(L);
      break;
    case LUA_TTABLE:
      settle(L, lua_gettop(L));
      break;
    case LUA_TLIGHTUSERDATA:
      lua_pop(L, 1);
      lua_pushnil(L);
      changed = true;
      break;
    default:
      break;
    }
    if (changed) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, container);
    } else {
      lua_pop(L, 1);
    }
  }
}

/* wrenn.core.settle(container): takes the null values, which are userdata, out
 * of a decoded JSON container and those in it, and makes whole numbers
 * integers. Returns the container. */
static int core_settle(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  settle(L, 1);
  return 1;
}

void binding_add_settle(lua_State *L) {
  static const luaL_Reg functions[] = {{"settle", core_settle}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
