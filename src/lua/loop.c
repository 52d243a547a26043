/* The loop as a userdata. Other files add the methods that start operations and
 * take events. */
#include "module.h"

static int loop_fd(lua_State *L) {
  lua_pushinteger(L, wrenn_loop_fd(binding_check_loop(L, 1, NULL)));
  return 1;
}

static int loop_timeout(lua_State *L) {
  int ms = wrenn_loop_timeout(binding_check_loop(L, 1, NULL));
  if (ms < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, ms / (lua_Number)1000);
  return 1;
}

static int loop_step(lua_State *L) {
  return binding_push_outcome(L,
                              wrenn_loop_step(binding_check_loop(L, 1, NULL)));
}

static int loop_wait(lua_State *L) {
  wrenn_loop *loop = binding_check_loop(L, 1, NULL);
  return binding_push_outcome(
      L, wrenn_loop_wait(loop, (int)binding_to_ms(L, 2, -1)));
}

/* By id instead of by operation: the code that distributes events need not own
 * the operations. */
static int loop_pause(lua_State *L) {
  wrenn_loop *loop = binding_check_loop(L, 1, NULL);
  wrenn_pause(loop, (wrenn_id)luaL_checknumber(L, 2), lua_toboolean(L, 3));
  return 0;
}

static int loop_cancel(lua_State *L) {
  wrenn_loop *loop = binding_check_loop(L, 1, NULL);
  wrenn_cancel(loop, (wrenn_id)luaL_checknumber(L, 2));
  return 0;
}

static int loop_release(lua_State *L) {
  wrenn_loop *loop = binding_check_loop(L, 1, NULL);
  return binding_push_outcome(
      L, wrenn_release(loop, (uint32_t)luaL_checknumber(L, 2)));
}

static int loop_watch(lua_State *L) {
  return binding_push_outcome(L,
                              wrenn_loop_watch(binding_check_loop(L, 1, NULL)));
}

static void drop(binding_owned *owned) {
  binding_loop *self = (binding_loop *)owned;
  wrenn_loop_free(self->loop);
  self->loop = NULL;
}

static int loop_close(lua_State *L) {
  binding_loop *self = luaL_checkudata(L, 1, BINDING_LOOP);
  binding_drop(&self->owned);
  return 0;
}

static int new_loop(lua_State *L) {
  wrenn_status status;
  binding_loop *self = lua_newuserdata(L, sizeof(*self));
  *self = (binding_loop){.loop = NULL};
  luaL_getmetatable(L, BINDING_LOOP);
  lua_setmetatable(L, -2);
  if (!binding_own(L, &self->owned, drop))
    return binding_push_failure(L, WRENN_E_CLOSED);
  self->loop = wrenn_loop_new(&status);
  return self->loop ? 1 : binding_push_failure(L, status);
}

void binding_add_loop(lua_State *L) {
  static const luaL_Reg functions[] = {{"loop", new_loop}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"fd", loop_fd},           {"timeout", loop_timeout},
      {"step", loop_step},       {"wait", loop_wait},
      {"close", loop_close},     {"pause", loop_pause},
      {"cancel", loop_cancel},   {"watch", loop_watch},
      {"release", loop_release}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", loop_close}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  binding_new_class(L, BINDING_LOOP, methods, meta);
  luaL_getmetatable(L, BINDING_LOOP);
  lua_getfield(L, -1, "__index");
  binding_add_events(L);
  binding_add_ops(L);
  binding_add_relay(L);
  lua_pop(L, 2);
}
