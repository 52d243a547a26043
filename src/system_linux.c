#include "system.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "wrenn.h"

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

int wrenn_readiness_new(int fd, int how) {
  struct epoll_event wanted = {0};
  if (how & WRENN_READABLE)
    wanted.events |= EPOLLIN;
  if (how & WRENN_WRITABLE)
    wanted.events |= EPOLLOUT;
  int made = epoll_create1(EPOLL_CLOEXEC);
  if (made < 0 || !epoll_ctl(made, EPOLL_CTL_ADD, fd, &wanted))
    return made;
  int why = errno; /* EPERM: a file, or /dev/null */
  close(made);
  errno = why;
  return -1;
}

int wrenn_readiness_take(int readiness, int how) {
  struct epoll_event event = {0};
  int found = 0;
  if (epoll_wait(readiness, &event, 1, 0) != 1)
    return 0;
  if (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR))
    found |= WRENN_READABLE;
  if (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
    found |= WRENN_WRITABLE;
  return found & how;
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
