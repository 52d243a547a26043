/* JSON answers as Lua values. */
#include "../json.h"

#include <string.h>

#include "module.h"

#define MAX_DEPTH 1000
/* Members are kept on the stack until their table is created, so that it has
 * the right size and need not grow. The stack is limited, so only a few are
 * kept, and none at great depth. */
#define MAX_WAITING 32
#define WAITING_DEPTH 32

static const char *push_value(lua_State *L, wrenn_json_iter *it,
                              const wrenn_json *value, unsigned depth);

static void push_string(lua_State *L, const wrenn_json *value) {
  if (!value->escaped) {
    lua_pushlstring(L, value->text, value->len);
    return;
  }
  char *bytes = lua_newuserdata(L, value->len);
  lua_pushlstring(L, bytes, wrenn_json_decode(value, bytes));
  lua_remove(L, -2);
}

/* Whole numbers are integers where the language has them. */
static const char *push_number(lua_State *L, const wrenn_json *value) {
  double number;
  int64_t whole;
  if (wrenn_json_int(value, &whole)) {
#if LUA_VERSION_NUM >= 503
    lua_pushinteger(L, whole);
#else
    lua_pushnumber(L, (lua_Number)whole);
#endif
    return NULL;
  }
  if (!wrenn_json_double(value, &number))
    return "a number is too long";
  lua_pushnumber(L, number);
  return NULL;
}

/* Replaces everything from `from` on by the table. */
static void make_table(lua_State *L, int from, int waiting, bool object) {
  lua_createtable(L, object ? 0 : waiting, object ? waiting : 0);
  for (int i = 0; i < waiting; i++)
    if (object) {
      lua_pushvalue(L, from + 2 * i);
      lua_pushvalue(L, from + 2 * i + 1);
      lua_rawset(L, -3);
    } else {
      lua_pushvalue(L, from + i);
      lua_rawseti(L, -2, i + 1);
    }
  lua_insert(L, from);
  lua_settop(L, from);
}

static const char *push_container(lua_State *L, wrenn_json_iter *it,
                                  const wrenn_json *container, unsigned depth) {
  wrenn_json_iter inner;
  wrenn_json key, value;
  int from = lua_gettop(L) + 1, count = 0, found;
  int room = depth < WAITING_DEPTH ? MAX_WAITING : 0;
  bool made = false;
  if (depth == MAX_DEPTH)
    return "JSON is nested too deeply";
  luaL_checkstack(L, 2 * room + LUA_MINSTACK, "JSON");
  wrenn_json_enter(&inner, it, container);
  while ((found = wrenn_json_step(&inner, &key, &value)) > 0) {
    if (!made && count == room) {
      make_table(L, from, count, inner.object);
      made = true;
    }
    if (inner.object)
      push_string(L, &key);
    const char *why = push_value(L, &inner, &value, depth + 1);
    if (why)
      return why;
    count++;
    if (made && inner.object)
      lua_rawset(L, from);
    else if (made)
      lua_rawseti(L, from, count);
  }
  if (found < 0)
    return inner.why;
  if (!made)
    make_table(L, from, count, inner.object);
  wrenn_json_leave(it, &inner);
  return NULL;
}

static const char *push_value(lua_State *L, wrenn_json_iter *it,
                              const wrenn_json *value, unsigned depth) {
  switch (value->type) {
  case WRENN_JSON_NULL:
    lua_pushnil(L);
    return NULL;
  case WRENN_JSON_BOOL:
    lua_pushboolean(L, wrenn_json_true(value));
    return NULL;
  case WRENN_JSON_NUMBER:
    return push_number(L, value);
  case WRENN_JSON_STRING:
    push_string(L, value);
    return NULL;
  default:
    return push_container(L, it, value, depth);
  }
}

/* wrenn.core.json(text) -> the value of a JSON text, null being nil; or nil,
 * why. */
static int core_json(lua_State *L) {
  wrenn_json_iter it;
  wrenn_json value;
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  const char *why = NULL;
  if (!wrenn_json_begin(&it, text, len, &value))
    why = it.why;
  if (!why)
    why = push_value(L, &it, &value, 0);
  if (!why && !wrenn_json_end(&it))
    why = it.why;
  if (!why)
    return 1;
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* Whether the value below the top fits the kind on top: a name of a type, with
 * "?" before it where the value may be nil; or "text", a string that is not
 * empty. */
static bool fits(lua_State *L) {
  const char *kind = lua_tostring(L, -1);
  int type = lua_type(L, -2);
  if (!kind)
    return false;
  if (*kind == '?') {
    if (type == LUA_TNIL)
      return true;
    kind++;
  }
  if (strcmp(kind, "text") == 0)
    return type == LUA_TSTRING && lua_rawlen(L, -2) > 0;
  return strcmp(kind, lua_typename(L, type)) == 0;
}

/* wrenn.core.misfit(object, fields, from): `fields` is a list of names and
 * kinds in turn. Returns the number of the first pair, from the given one on,
 * whose field does not fit; nil if all do. */
static int core_misfit(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  int count = (int)lua_rawlen(L, 2) / 2;
  for (int i = (int)luaL_checkinteger(L, 3); i <= count; i++) {
    lua_rawgeti(L, 2, 2 * i - 1);
    lua_rawget(L, 1);
    lua_rawgeti(L, 2, 2 * i);
    if (!fits(L)) {
      lua_pushinteger(L, i);
      return 1;
    }
    lua_settop(L, 3);
  }
  return 0;
}

void binding_add_json(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"json", core_json}, {"misfit", core_misfit}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
