#include "system.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/ucred.h>
#include <sys/un.h>
#include <unistd.h>

/* macOS has no call that does both at once. */
static int closed_on_exec(int fd) {
  if (fd >= 0)
    fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
}

/* Writing where nobody reads any more is an error, not a signal. */
static int without_sigpipe(int fd) {
  const int on = 1;
  if (fd >= 0)
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
  return fd;
}

int wrenn_socket(int family, int type, int protocol) {
  return without_sigpipe(closed_on_exec(socket(family, type, protocol)));
}

int wrenn_accept(int fd) {
  return without_sigpipe(closed_on_exec(accept(fd, NULL, NULL)));
}

int wrenn_alarm_new(void) { return closed_on_exec(kqueue()); }

bool wrenn_alarm_set(int fd, uint64_t ms) {
  struct kevent when;
  EV_SET(&when, 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, (intptr_t)ms, NULL);
  return kevent(fd, &when, 1, NULL, 0, NULL) == 0;
}

bool wrenn_alarm_take(int fd) {
  const struct timespec at_once = {0};
  struct kevent fired;
  return kevent(fd, NULL, 0, &fired, 1, &at_once) > 0;
}

void wrenn_sigpipe_take(void) {
  sigset_t sigpipe, pending;
  int which;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  if (!sigpending(&pending) && sigismember(&pending, SIGPIPE))
    sigwait(&sigpipe, &which);
}

short wrenn_poll_end(void) { return 0; /* POLLHUP, which is always told */ }

bool wrenn_peer_is(int fd, pid_t pid) {
#ifdef LOCAL_PEERPID
  pid_t who = -1;
  socklen_t len = sizeof(who);
  return !getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &who, &len) && who == pid;
#else
  struct xucred who = {0};
  socklen_t len = sizeof(who);
  return !getsockopt(fd, SOL_LOCAL, LOCAL_PEERCRED, &who, &len) &&
         who.cr_pid == pid;
#endif
}
