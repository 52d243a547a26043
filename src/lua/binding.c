#include "binding.h"

#include <math.h>

void binding_new_class(lua_State *L, const char *name, const luaL_Reg *methods,
                       const luaL_Reg *meta) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

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
    [WRENN_E_FILE] = "file",
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

int binding_push_outcome(lua_State *L, wrenn_status status) {
  if (status)
    return binding_push_failure(L, status);
  lua_pushboolean(L, 1);
  return 1;
}

int64_t binding_to_ms(lua_State *L, int index, int64_t none) {
  if (lua_isnoneornil(L, index))
    return none;
  lua_Number ms = ceil(luaL_checknumber(L, index) * 1000);
  if (!(ms > 0))
    return 0;
  return ms < INT32_MAX ? (int64_t)ms : INT32_MAX;
}

/* ---- the end of the Lua state -------------------------------------------- */

#define LIST "wrenn.owned"

typedef struct owned_list {
  binding_owned *first;
  bool over;
} owned_list;

static int list_gc(lua_State *L) {
  owned_list *list = lua_touserdata(L, 1);
  list->over = true;
  while (list->first)
    binding_drop(list->first);
  return 0;
}

void binding_begin(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LIST);
  if (lua_isnil(L, -1)) {
    owned_list *list = lua_newuserdata(L, sizeof(*list));
    *list = (owned_list){0};
    lua_newtable(L);
    lua_pushcfunction(L, list_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, LIST);
  }
  lua_pop(L, 1);
}

bool binding_own(lua_State *L, binding_owned *owned,
                 void (*drop)(binding_owned *)) {
  lua_getfield(L, LUA_REGISTRYINDEX, LIST);
  owned_list *list = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (list->over)
    return false;
  *owned =
      (binding_owned){.next = list->first, .link = &list->first, .drop = drop};
  if (owned->next)
    owned->next->link = &owned->next;
  list->first = owned;
  return true;
}

void binding_drop(binding_owned *owned) {
  if (!owned->link)
    return;
  *owned->link = owned->next;
  if (owned->next)
    owned->next->link = owned->link;
  owned->link = NULL;
  owned->drop(owned);
}

/* ---- loops --------------------------------------------------------------- */

wrenn_loop *binding_check_loop(lua_State *L, int index, binding_loop **box) {
  binding_loop *self = luaL_checkudata(L, index, BINDING_LOOP);
  if (!self->loop)
    luaL_error(L, "the loop is closed");
  if (box)
    *box = self;
  return self->loop;
}
