/* What the files of the Lua binding share. The only place for lua.h. */
#ifndef WRENN_LUA_BINDING_H
#define WRENN_LUA_BINDING_H

#include <lauxlib.h>
#include <lua.h>

#include "../wrenn.h"

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#define luaL_setfuncs(L, functions, upvalues) luaL_register(L, NULL, functions)
#endif

/* A loop, shared by its userdata and those of its operations; the last of
 * them frees it. `loop` is NULL once it has been closed. */
typedef struct binding_loop {
  wrenn_loop *loop;
  unsigned refs;
} binding_loop;

/* Returns the loop; raises when it is closed. */
wrenn_loop *binding_check_loop(lua_State *L, int index, binding_loop **shared);

/* Pushes nil, the status's code and a message; returns 3. */
int binding_push_failure(lua_State *L, wrenn_status status);

/* Pushes the short name of a status ("timeout", "connect", ...). */
void binding_push_code(lua_State *L, wrenn_status status);

/* Seconds at `index` as milliseconds, rounded up; `none` for nil. */
int64_t binding_to_ms(lua_State *L, int index, int64_t none);

/* Pushes an event as loop:next returns it; returns the number of values. */
int binding_push_event(lua_State *L, const wrenn_event *event);

/* loop:frames(id, list, last): appends the frames of one operation that are
 * next in the queue to a list with `last` entries. Returns how many and their
 * bytes, of messages as they came. Registered with its upvalues. */
void binding_add_frames(lua_State *L);

/* Registers the metatables. */
void binding_open_loop(lua_State *L);
void binding_open_op(lua_State *L);
void binding_open_hash(lua_State *L);
void binding_open_relay(lua_State *L);
void binding_open_tree(lua_State *L);

/* Methods of a loop that start operations: (loop, options) -> op. */
int binding_http(lua_State *L);
int binding_ws(lua_State *L);
int binding_timer(lua_State *L);

/* loop:relay() -> relay; or nil, code, message. */
int binding_relay(lua_State *L);

/* wrenn.core.sha256, .tree, .file_type and .make_dirs. */
int binding_sha256(lua_State *L);
int binding_tree(lua_State *L);
int binding_file_type(lua_State *L);
int binding_make_dirs(lua_State *L);

/* wrenn.core.settle(container): takes the null values, which are userdata, out
 * of a decoded JSON container and those in it, and makes whole numbers
 * integers. Returns the container. */
int binding_settle(lua_State *L);

/* Makes a metatable with an __index table of its own. */
void binding_new_class(lua_State *L, const char *name, const luaL_Reg *methods,
                       const luaL_Reg *meta);

void binding_release_loop(binding_loop *shared);

#endif
