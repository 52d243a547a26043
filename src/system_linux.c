#include "system.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int wrenn_socket(int family, int type, int protocol) {
  return socket(family, type | SOCK_CLOEXEC, protocol);
}

int wrenn_accept(int fd) { return accept4(fd, NULL, NULL, SOCK_CLOEXEC); }

int wrenn_alarm_new(void) {
  return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

bool wrenn_alarm_set(int fd, uint64_t ms) {
  struct itimerspec when = {
      .it_value = {.tv_sec = (time_t)(ms / 1000),
                   .tv_nsec = (long)(ms % 1000) * 1000000}};
  if (!ms)
    when.it_value.tv_nsec = 1; /* 0 would stop it */
  return timerfd_settime(fd, 0, &when, NULL) == 0;
}

bool wrenn_alarm_take(int fd) {
  uint64_t times;
  return read(fd, &times, sizeof(times)) > 0;
}

void wrenn_sigpipe_take(void) {
  const struct timespec at_once = {0};
  sigset_t sigpipe;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  while (sigtimedwait(&sigpipe, NULL, &at_once) < 0 && errno == EINTR)
    ;
}

short wrenn_poll_end(void) { return POLLRDHUP; }

bool wrenn_peer_is(int fd, pid_t pid) {
  struct ucred who = {0};
  socklen_t len = sizeof(who);
  return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) && who.pid == pid;
}
