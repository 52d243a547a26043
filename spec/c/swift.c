/* For LD_PRELOAD: send(2) that returns once as much of an answer is there as
 * WRENN_SPEC_AWAIT says, for requests with "/await" in them: as it happens
 * where a process that has sent has to wait for its turn. */
#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef ssize_t put(int, const void *, size_t, int);

__attribute__((visibility("default"))) ssize_t send(int fd, const void *buf,
                                                    size_t n, int flags) {
  put *real;
  void *symbol = dlsym(RTLD_NEXT, "send");
  memcpy(&real, &symbol, sizeof(real));
  ssize_t sent = real(fd, buf, n, flags);
  const char *text = getenv("WRENN_SPEC_AWAIT");
  int least = text ? (int)strtol(text, NULL, 10) : 0;
  if (sent <= 0 || !least || !memmem(buf, n, "/await", 6))
    return sent;
  struct pollfd there = {.fd = fd, .events = POLLIN};
  setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least));
  poll(&there, 1, 10000);
  least = 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least));
  return sent;
}
