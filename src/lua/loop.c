/* The loop as a userdata: fd, timeout, step, wait, next, and the starters. */
#include <math.h>
#include <stdlib.h>

#include "binding.h"

static const char *const codes[] = {
    [WRENN_OK] = "ok",
    [WRENN_E_ARGUMENT] = "argument",
    [WRENN_E_MEMORY] = "memory",
    [WRENN_E_CLOSED] = "closed",
    [WRENN_E_FORKED] = "forked",
    [WRENN_E_SYSTEM] = "system",
    [WRENN_E_RESOLVE] = "resolve",
    [WRENN_E_CONNECT] = "connect",
    [WRENN_E_TLS] = "tls",
    [WRENN_E_TIMEOUT] = "timeout",
    [WRENN_E_BROKEN] = "broken",
    [WRENN_E_PROTOCOL] = "protocol",
    [WRENN_E_TOO_LARGE] = "too_large",
    [WRENN_E_REFUSED] = "refused",
    [WRENN_E_CANCELLED] = "cancelled",
};

void binding_push_code(lua_State *L, wrenn_status status) {
  lua_pushstring(L, codes[status]);
}

int binding_push_failure(lua_State *L, wrenn_status status) {
  lua_pushnil(L);
  binding_push_code(L, status);
  lua_pushstring(L, wrenn_strerror(status));
  return 3;
}

int64_t binding_to_ms(lua_State *L, int index, int64_t none) {
  if (lua_isnoneornil(L, index))
    return none;
  lua_Number ms = ceil(luaL_checknumber(L, index) * 1000);
  if (!(ms > 0))
    return 0;
  return ms < INT32_MAX ? (int64_t)ms : INT32_MAX;
}

void binding_release_loop(binding_loop *shared) {
  if (--shared->refs > 0)
    return;
  wrenn_loop_free(shared->loop);
  free(shared);
}

static binding_loop *check_shared(lua_State *L, int index) {
  binding_loop **box = luaL_checkudata(L, index, "wrenn.loop");
  return *box;
}

wrenn_loop *binding_check_loop(lua_State *L, int index, binding_loop **shared) {
  binding_loop *found = check_shared(L, index);
  wrenn_loop *loop = found ? found->loop : NULL;
  if (!loop)
    luaL_error(L, "the loop is closed");
  if (shared)
    *shared = found;
  return loop;
}

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

static int push_outcome(lua_State *L, wrenn_status status) {
  if (status)
    return binding_push_failure(L, status);
  lua_pushboolean(L, 1);
  return 1;
}

static int loop_step(lua_State *L) {
  return push_outcome(L, wrenn_loop_step(binding_check_loop(L, 1, NULL)));
}

static int loop_wait(lua_State *L) {
  wrenn_loop *loop = binding_check_loop(L, 1, NULL);
  return push_outcome(L, wrenn_loop_wait(loop, (int)binding_to_ms(L, 2, -1)));
}

static int loop_next(lua_State *L) {
  wrenn_event event;
  if (!wrenn_loop_next(binding_check_loop(L, 1, NULL), &event))
    return 0;
  return binding_push_event(L, &event);
}

/* By id, not by operation: who hands events on need not own what they are of.
 */
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
  return push_outcome(L, wrenn_release(loop, (uint32_t)luaL_checknumber(L, 2)));
}

static int loop_watch(lua_State *L) {
  return push_outcome(L, wrenn_loop_watch(binding_check_loop(L, 1, NULL)));
}

static int loop_close(lua_State *L) {
  binding_loop *shared = check_shared(L, 1);
  if (shared) {
    wrenn_loop_free(shared->loop);
    shared->loop = NULL;
  }
  return 0;
}

static int loop_gc(lua_State *L) {
  binding_loop **box = luaL_checkudata(L, 1, "wrenn.loop");
  loop_close(L);
  if (*box)
    binding_release_loop(*box);
  *box = NULL;
  return 0;
}

void binding_open_loop(lua_State *L) {
  static const luaL_Reg methods[] = {{"fd", loop_fd},
                                     {"timeout", loop_timeout},
                                     {"step", loop_step},
                                     {"wait", loop_wait},
                                     {"next", loop_next},
                                     {"close", loop_close},
                                     {"pause", loop_pause},
                                     {"cancel", loop_cancel},
                                     {"watch", loop_watch},
                                     {"release", loop_release},
                                     {"http", binding_http},
                                     {"ws", binding_ws},
                                     {"timer", binding_timer},
                                     {"relay", binding_relay},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", loop_gc}, {NULL, NULL}};
  binding_new_class(L, "wrenn.loop", methods, meta);
  luaL_getmetatable(L, "wrenn.loop");
  lua_getfield(L, -1, "__index");
  binding_add_frames(L);
  lua_pop(L, 2);
}
