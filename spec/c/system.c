/* What specs need of the system and Lua has not: fork(2). */
#include <lauxlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* fork(): the child's pid, 0 in the child. */
static int system_fork(lua_State *L) {
  lua_pushinteger(L, fork());
  return 1;
}

/* ended(pid): nil while the child runs; then its exit status, or minus the
 * signal that has ended it. */
static int system_ended(lua_State *L) {
  int status;
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  if (waitpid(pid, &status, WNOHANG) != pid)
    lua_pushnil(L);
  else
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status)
                                         : -WTERMSIG(status));
  return 1;
}

__attribute__((visibility("default"))) int luaopen_spec_c_system(lua_State *L);

int luaopen_spec_c_system(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, system_fork);
  lua_setfield(L, -2, "fork");
  lua_pushcfunction(L, system_ended);
  lua_setfield(L, -2, "ended");
  return 1;
}
