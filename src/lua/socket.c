/* Listening on loopback, for programs that pass connections on. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../descriptor.h"
#include "../system.h"
#include "module.h"

static int push_errno(lua_State *L, int why) {
  lua_pushnil(L);
  lua_pushstring(L, strerror(why));
  return 2;
}

static int listen_on(int fd, struct sockaddr_in *name) {
  int on = 1;
  socklen_t len = sizeof(*name);
  struct sockaddr *any = (struct sockaddr *)name;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
      bind(fd, any, len) || listen(fd, SOMAXCONN) ||
      fcntl(fd, F_SETFL, O_NONBLOCK) || getsockname(fd, any, &len))
    return errno;
  return 0;
}

/* core.listen(port): a socket on 127.0.0.1, whose port is chosen for 0. Returns
 * its descriptor and the port; or nil and a message. */
static int core_listen(lua_State *L) {
  lua_Integer port = luaL_checkinteger(L, 1);
  luaL_argcheck(L, port >= 0 && port <= 65535, 1, "a port expected");
  struct sockaddr_in name = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = wrenn_above_streams(wrenn_socket(AF_INET, SOCK_STREAM, 0));
  if (fd < 0)
    return push_errno(L, errno);
  int why = listen_on(fd, &name);
  if (why) {
    close(fd);
    return push_errno(L, why);
  }
  lua_pushinteger(L, fd);
  lua_pushinteger(L, ntohs(name.sin_port));
  return 2;
}

/* core.accept(fd): the descriptor of the next connection; nil if there is none;
 * or nil and a message. */
static int core_accept(lua_State *L) {
  int on = 1;
  int fd = wrenn_above_streams(wrenn_accept((int)luaL_checkinteger(L, 1)));
  if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
    return 0;
  if (fd < 0)
    return push_errno(L, errno);
  /* What comes in pieces is passed on in pieces, each at once. */
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  fcntl(fd, F_SETFL, O_NONBLOCK);
  lua_pushinteger(L, fd);
  return 1;
}

/* core.shutdown(fd): the peer gets no more. */
static int core_shutdown(lua_State *L) {
  shutdown((int)luaL_checkinteger(L, 1), SHUT_WR);
  return 0;
}

/* core.close(fd, abort): with `abort` the peer learns that what it has got is
 * not all. */
static int core_close(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  struct linger now = {.l_onoff = 1};
  if (lua_toboolean(L, 2))
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(fd);
  return 0;
}

void binding_add_sockets(lua_State *L) {
  static const luaL_Reg functions[] = {{"listen", core_listen},
                                       {"accept", core_accept},
                                       {"shutdown", core_shutdown},
                                       {"close", core_close},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
