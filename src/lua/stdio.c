/* Reading and writing descriptors that others share, so O_NONBLOCK is not set
 * on them: what a call does here does not wait, provided that loop:ready has
 * said so before. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "module.h"

#define READ_MAX ((size_t)64 * 1024)
/* A terminal takes more than it has room for, and waits for it. */
#define TERMINAL_MAX ((size_t)256)

static int push_errno(lua_State *L, int why) {
  lua_pushnil(L);
  lua_pushstring(L, strerror(why));
  lua_pushboolean(L, why == EPIPE);
  return 3;
}

/* core.read(fd): what is there; "" at the end; or nil and a message. A
 * terminal that has been hung up is at its end. */
static int core_read(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  char *bytes = lua_newuserdata(L, READ_MAX);
  ssize_t got;
  do
    got = read(fd, bytes, READ_MAX);
  while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EIO)
    got = 0;
  if (got < 0)
    return push_errno(L, errno);
  lua_pushlstring(L, bytes, (size_t)got);
  return 1;
}

static bool has_room(int fd) {
  struct pollfd one = {.fd = fd, .events = POLLOUT};
  return poll(&one, 1, 0) == 1;
}

/* The largest write(2) that does not wait where poll(2) says that there is
 * room. Somebody may have set O_NONBLOCK after all. */
static size_t piece_of(int fd) {
  struct stat about;
  if (isatty(fd))
    return TERMINAL_MAX;
  if (fcntl(fd, F_GETFL) & O_NONBLOCK)
    return SSIZE_MAX;
  if (!fstat(fd, &about) && S_ISREG(about.st_mode))
    return SSIZE_MAX;
  return PIPE_BUF;
}

/* core.write(fd, bytes, from): writes what there is room for, from the byte
 * with that number on. Returns the number of the first byte that has not been
 * written; or nil, a message, and whether nobody reads any more. */
static int core_write(lua_State *L) {
  size_t len;
  int fd = (int)luaL_checkinteger(L, 1);
  const char *bytes = luaL_checklstring(L, 2, &len);
  lua_Integer from = luaL_optinteger(L, 3, 1);
  luaL_argcheck(L, from >= 1, 3, "a position expected");
  size_t at = (size_t)from - 1;
  size_t piece = piece_of(fd);
  while (at < len && has_room(fd)) {
    size_t part = len - at < piece ? len - at : piece;
    ssize_t put = write(fd, bytes + at, part);
    if (put < 0 && (errno == EAGAIN || errno == EINTR))
      break;
    if (put < 0)
      return push_errno(L, errno);
    at += (size_t)put;
  }
  lua_pushinteger(L, (lua_Integer)at + 1);
  return 1;
}

/* core.ignore_sigpipe(): from now on to write where nobody reads is an error,
 * in the whole process and those that it starts. For programs that have
 * something to tidy up then. */
static int core_ignore_sigpipe(lua_State *L) {
  (void)L;
  signal(SIGPIPE, SIG_IGN);
  return 0;
}

void binding_add_stdio(lua_State *L) {
  static const luaL_Reg functions[] = {{"read", core_read},
                                       {"write", core_write},
                                       {"ignore_sigpipe", core_ignore_sigpipe},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
