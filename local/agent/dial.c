#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/agent.h"

/* Connects without waiting; the receiver of the socket learns from it whether
 * that succeeded. Returns the socket, or -1 with errno. */
static int dial(int family, const void *address, socklen_t size) {
  int one = 1, error = 0;
  socklen_t len = sizeof(error);
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  if (connect(fd, address, size)) {
    struct pollfd now = {.fd = fd, .events = POLLOUT};
    error = errno;
    if (error == EINPROGRESS && poll(&now, 1, 0) >= 0)
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
  }
  if (error) {
    close(fd);
    errno = error;
    return -1;
  }
  if (family != AF_UNIX)
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  return fd;
}

/* With a network of its own, everything that listens is the capsule's. */
static int dial_own(const agent *a, int family, uint16_t port,
                    const void *address, socklen_t size) {
  /* Only the same user, or who has rights that nobody here has, may look at
   * what a process has open. */
  setfsgid(a->uid);
  setfsuid(a->uid);
  bool owned = !a->shares_network || agent_owns_port(family, port);
  setfsuid(geteuid());
  setfsgid(getegid());
  if (owned)
    return dial(family, address, size);
  errno = ECONNREFUSED;
  return -1;
}

static int dial_port(const agent *a, uint16_t port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET,
                           .sin_port = htons(port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                            .sin6_port = htons(port),
                            .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = dial_own(a, AF_INET, port, &v4, sizeof(v4));
  /* Some services listen only on the other loopback address. */
  return fd < 0 ? dial_own(a, AF_INET6, port, &v6, sizeof(v6)) : fd;
}

static int dial_file(const char *path) {
  struct sockaddr_un file = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(file.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(file.sun_path, path, strlen(path) + 1);
  return dial(AF_UNIX, &file, sizeof(file));
}

void agent_dial(const agent *a, const wrenn_json *order, agent_reply *reply) {
  wrenn_json value;
  int64_t port = 0;
  char *path = agent_string(order, "socket");
  if (wrenn_json_get(order, "port", &value))
    wrenn_json_int(&value, &port);
  int fd = path ? dial_file(path) : dial_port(a, (uint16_t)port);
  if (fd >= 0)
    reply->fds[reply->fd_count++] = fd;
  else
    agent_fail(reply, "refused", "%s", strerror(errno));
  free(path);
}
