/* What specs need of the system and Lua has not: fork(2), a deaf listener, the
 * size of the heap, pipes, signals, programs in a terminal. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
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

/* pipe(): its two ends. */
static int system_pipe(lua_State *L) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC))
    return luaL_error(L, "no pipe to be had");
  lua_pushinteger(L, ends[0]);
  lua_pushinteger(L, ends[1]);
  return 2;
}

/* open(path): a descriptor to read from. */
static int system_open(lua_State *L) {
  lua_pushinteger(L, open(luaL_checkstring(L, 1), O_RDONLY | O_CLOEXEC));
  return 1;
}

static int system_close(lua_State *L) {
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

/* undelayed(fd): whether a socket sends small pieces at once. */
static int system_undelayed(lua_State *L) {
  int on = 0;
  socklen_t len = sizeof(on);
  getsockopt((int)luaL_checkinteger(L, 1), IPPROTO_TCP, TCP_NODELAY, &on, &len);
  lua_pushboolean(L, on);
  return 1;
}

/* kill(pid, number) */
static int system_kill(lua_State *L) {
  lua_pushboolean(
      L, !kill((pid_t)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2)));
  return 1;
}

/* terminal(line, columns, rows): starts sh with a line of shell in a terminal
 * of its own. Returns the pid, and the other end of the terminal. */
static int system_terminal(lua_State *L) {
  int fd;
  const char *line = luaL_checkstring(L, 1);
  const struct winsize size = {
      .ws_col = (unsigned short)luaL_checkinteger(L, 2),
      .ws_row = (unsigned short)luaL_checkinteger(L, 3)};
  pid_t pid = forkpty(&fd, NULL, NULL, &size);
  if (pid < 0)
    return luaL_error(L, "no terminal to be had");
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  lua_pushinteger(L, pid);
  lua_pushinteger(L, fd);
  return 2;
}

/* resize(fd, columns, rows) */
static int system_resize(lua_State *L) {
  const struct winsize size = {
      .ws_col = (unsigned short)luaL_checkinteger(L, 2),
      .ws_row = (unsigned short)luaL_checkinteger(L, 3)};
  ioctl((int)luaL_checkinteger(L, 1), TIOCSWINSZ, &size);
  return 0;
}

/* modes(fd): what tells one state of a terminal from another. */
static int system_modes(lua_State *L) {
  struct termios modes;
  if (tcgetattr((int)luaL_checkinteger(L, 1), &modes))
    return 0;
  lua_pushfstring(L, "%d %d %d %d", (int)modes.c_iflag, (int)modes.c_oflag,
                  (int)modes.c_cflag, (int)modes.c_lflag);
  return 1;
}

__attribute__((visibility("default"))) int luaopen_spec_c_system(lua_State *L);

int luaopen_spec_c_system(lua_State *L) {
  static const struct {
    const char *name;
    lua_CFunction fn;
  } functions[] = {
      {"fork", system_fork},         {"ended", system_ended},
      {"heap", system_heap},         {"deaf", system_deaf},
      {"pipe", system_pipe},         {"open", system_open},
      {"close", system_close},       {"kill", system_kill},
      {"terminal", system_terminal}, {"resize", system_resize},
      {"modes", system_modes},       {"undelayed", system_undelayed},
  };
  lua_newtable(L);
  for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
    lua_pushcfunction(L, functions[i].fn);
    lua_setfield(L, -2, functions[i].name);
  }
  return 1;
}
