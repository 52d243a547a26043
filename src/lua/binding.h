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

/* ---- loops --------------------------------------------------------------- */

/* The class of a loop: its userdata is a pointer to a binding_loop. */
#define BINDING_LOOP "wrenn.loop"

/* A loop, shared by its userdata and those of its operations; the last of
 * them frees it. `loop` is NULL once it has been closed. */
typedef struct binding_loop {
  wrenn_loop *loop;
  unsigned refs;
} binding_loop;

/* Returns the loop at `index`, and in *shared (may be NULL) its owner; raises
 * if it is closed. */
wrenn_loop *binding_check_loop(lua_State *L, int index, binding_loop **shared);

/* Drops a reference. */
void binding_release_loop(binding_loop *shared);

#endif
