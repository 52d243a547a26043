/* The functions that the files of the binding add to the module. Each adds its
 * functions to the table on top of the stack, and creates their metatables.
 * core.c calls the first group, loop.c the second. */
#ifndef WRENN_LUA_MODULE_H
#define WRENN_LUA_MODULE_H

#include "binding.h"

/* Functions of the module. */
void binding_add_hash(lua_State *L);      /* sha256 */
void binding_add_interrupt(lua_State *L); /* hold, pressed, release */
void binding_add_json(lua_State *L);      /* json, misfit */
void binding_add_loop(lua_State *L);      /* loop */
void binding_add_requests(lua_State *L);  /* request */
void binding_add_sockets(lua_State *L);   /* listen, accept, ... */
void binding_add_stdio(lua_State *L);     /* read, write, ignore_sigpipe */
void binding_add_terminal(lua_State *L);  /* is_terminal, terminal_... */
void binding_add_tree(lua_State *L);      /* tree, file_type, make_dirs */

/* Writes bytes to a file of a tree. Returns the number of values that it has
 * pushed: the number of bytes; or false and the reason; or none, if the file is
 * closed. */
int binding_pour(lua_State *L, int index, const char *bytes, size_t len);

/* Methods of a loop. */
void binding_add_events(lua_State *L); /* next, frames */
void binding_add_ops(lua_State *L);    /* http, ws, timer, ready, signal */
void binding_add_relay(lua_State *L);  /* relay */

#endif
