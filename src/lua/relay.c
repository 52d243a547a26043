/* A relay as a userdata: path and stop. */
#include "binding.h"

static wrenn_relay **check_relay(lua_State *L) {
  return luaL_checkudata(L, 1, "wrenn.relay");
}

int binding_relay(lua_State *L) {
  wrenn_status status;
  wrenn_loop *loop = binding_check_loop(L, 1, NULL);
  wrenn_relay **box = lua_newuserdata(L, sizeof(wrenn_relay *));
  *box = NULL;
  luaL_getmetatable(L, "wrenn.relay");
  lua_setmetatable(L, -2);
  *box = wrenn_relay_start(loop, &status);
  return *box ? 1 : binding_push_failure(L, status);
}

static int relay_path(lua_State *L) {
  wrenn_relay *relay = *check_relay(L);
  luaL_argcheck(L, relay, 1, "the relay is stopped");
  lua_pushstring(L, wrenn_relay_path(relay));
  return 1;
}

static int relay_stop(lua_State *L) {
  wrenn_relay **box = check_relay(L);
  wrenn_relay_stop(*box);
  *box = NULL;
  return 0;
}

void binding_open_relay(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"path", relay_path}, {"stop", relay_stop}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", relay_stop}, {NULL, NULL}};
  binding_new_class(L, "wrenn.relay", methods, meta);
}
