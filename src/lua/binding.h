/* What the files of the Lua binding share, implemented in binding.c. The only
 * place that includes lua.h. */
#ifndef WRENN_LUA_BINDING_H
#define WRENN_LUA_BINDING_H

#include <lauxlib.h>
#include <lua.h>

#include "../wrenn.h"

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#define luaL_setfuncs(L, functions, upvalues) luaL_register(L, NULL, functions)
#endif

/* ---- values -------------------------------------------------------------- */

/* Creates a metatable with its own __index table. */
void binding_new_class(lua_State *L, const char *name, const luaL_Reg *methods,
                       const luaL_Reg *meta);

/* Pushes the short name of a status ("timeout", "connect", ...). */
void binding_push_code(lua_State *L, wrenn_status status);

/* Pushes nil, the status's code and a message; returns 3. */
int binding_push_failure(lua_State *L, wrenn_status status);

/* Pushes true, or for a failure the same as binding_push_failure; returns the
 * number of values. */
int binding_push_outcome(lua_State *L, wrenn_status status);

/* Seconds at `index` as milliseconds, rounded up; `none` for nil. */
int64_t binding_to_ms(lua_State *L, int index, int64_t none);

/* ---- the end of the Lua state -------------------------------------------- */

/* The part of a userdata that owns what is not Lua's memory. lua_close calls no
 * finalizer of what a finalizer has made, so all are in a list: the finalizer
 * of that list is the oldest, comes last and drops the rest. */
typedef struct binding_owned {
  struct binding_owned *next, **link; /* link is NULL once it is dropped */
  void (*drop)(struct binding_owned *self);
} binding_owned;

/* Creates the list of a state that has none. */
void binding_begin(lua_State *L);

/* Adds to the list. False: the state has ended. */
bool binding_own(lua_State *L, binding_owned *owned,
                 void (*drop)(binding_owned *));

/* Takes it off the list and drops it. May be called again. */
void binding_drop(binding_owned *owned);

/* ---- loops --------------------------------------------------------------- */

/* The class of a loop. */
#define BINDING_LOOP "wrenn.loop"

/* The userdata of a loop, which is not collected before its operations. */
typedef struct binding_loop {
  binding_owned owned;
  wrenn_loop *loop; /* NULL once it has been closed */
  unsigned ops;
  int anchor; /* its place in the registry, while it has operations */
} binding_loop;

/* Returns the loop at `index`, and in *box (may be NULL) its userdata; raises
 * if it is closed. */
wrenn_loop *binding_check_loop(lua_State *L, int index, binding_loop **box);

#endif
