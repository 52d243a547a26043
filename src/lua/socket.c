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

typedef union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} address;

static int listen_on(int fd, address *name) {
  int on = 1;
  bool six = name->any.sa_family == AF_INET6;
  socklen_t len = six ? sizeof(name->v6) : sizeof(name->v4);
  if ((six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))) ||
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
      bind(fd, &name->any, len) || listen(fd, SOMAXCONN) ||
      fcntl(fd, F_SETFL, O_NONBLOCK) || getsockname(fd, &name->any, &len))
    return errno;
  return 0;
}

/* core.listen(port, six): a socket on 127.0.0.1, or ::1 with `six`; the port is
 * chosen for 0. Returns its descriptor and the port; nil if this machine has no
 * such address; or nil and a message. */
static int core_listen(lua_State *L) {
  lua_Integer port = luaL_checkinteger(L, 1);
  bool six = lua_toboolean(L, 2);
  luaL_argcheck(L, port >= 0 && port <= 65535, 1, "a port expected");
  address name = {.v4 = {.sin_family = AF_INET,
                         .sin_port = htons((uint16_t)port),
                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
  if (six)
    name.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                    .sin6_port = htons((uint16_t)port),
                                    .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = wrenn_above_streams(
      wrenn_socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0));
  int why = fd < 0 ? errno : listen_on(fd, &name);
  if (why && fd >= 0)
    close(fd);
  if (why == EAFNOSUPPORT || why == EADDRNOTAVAIL)
    return 0;
  if (why)
    return push_errno(L, why);
  lua_pushinteger(L, fd);
  lua_pushinteger(L, ntohs(six ? name.v6.sin6_port : name.v4.sin_port));
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
