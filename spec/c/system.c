/* What specs need of the system and Lua has not: fork(2), a deaf listener, the
 * size of the heap. */
#include <arpa/inet.h>
#include <lauxlib.h>
#include <malloc.h>
#include <sys/socket.h>
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

/* deaf(address, port): lets every later connection to there hang, until this
 * process ends: what would take them is full. */
static int system_deaf(lua_State *L) {
  const char *text = luaL_checkstring(L, 1);
  in_port_t port = htons((in_port_t)luaL_checkinteger(L, 2));
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
  const struct sockaddr *to = (const struct sockaddr *)&v4;
  socklen_t len = sizeof(v4);
  if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
    to = (const struct sockaddr *)&v6;
    len = sizeof(v6);
  } else if (inet_pton(AF_INET, text, &v4.sin_addr) != 1) {
    return luaL_argerror(L, 1, "not an address");
  }
  int listener = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, to, len) || listen(listener, 0))
    return luaL_error(L, "cannot listen at %s", text);
  for (int i = 0; i < 4; i++)
    (void)connect(
        socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
        to, len);
  return 0;
}

/* heap(): the bytes that this process has allocated and not freed. */
static int system_heap(lua_State *L) {
  struct mallinfo2 info = mallinfo2();
  lua_pushnumber(L, (lua_Number)(info.uordblks + info.hblkhd));
  return 1;
}

__attribute__((visibility("default"))) int luaopen_spec_c_system(lua_State *L);

int luaopen_spec_c_system(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, system_fork);
  lua_setfield(L, -2, "fork");
  lua_pushcfunction(L, system_ended);
  lua_setfield(L, -2, "ended");
  lua_pushcfunction(L, system_heap);
  lua_setfield(L, -2, "heap");
  lua_pushcfunction(L, system_deaf);
  lua_setfield(L, -2, "deaf");
  return 1;
}
