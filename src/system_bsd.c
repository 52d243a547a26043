#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/ucred.h>
#include <sys/un.h>
#include <unistd.h>

#include "wrenn.h"

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

int wrenn_readiness_new(int fd, int how) {
  struct kevent wanted[2];
  struct stat info;
  int count = 0;
  if (fstat(fd, &info))
    return -1;
  if (S_ISREG(info.st_mode)) { /* kqueue would wait at its end */
    errno = EPERM;
    return -1;
  }
  if (how & WRENN_READABLE)
    EV_SET(&wanted[count++], (uintptr_t)fd, EVFILT_READ, EV_ADD, 0, 0, NULL);
  if (how & WRENN_WRITABLE)
    EV_SET(&wanted[count++], (uintptr_t)fd, EVFILT_WRITE, EV_ADD, 0, 0, NULL);
  int made = closed_on_exec(kqueue());
  if (made < 0 || !kevent(made, wanted, count, NULL, 0, NULL))
    return made;
  int why = errno; /* EINVAL, ENODEV: /dev/null and the like */
  close(made);
  errno = why == EINVAL || why == ENODEV ? EPERM : why;
  return -1;
}

int wrenn_readiness_take(int readiness, int how) {
  const struct timespec at_once = {0};
  struct kevent events[2];
  int found = 0;
  int count = kevent(readiness, NULL, 0, events, 2, &at_once);
  for (int i = 0; i < count; i++)
    found |= events[i].filter == EVFILT_READ ? WRENN_READABLE : WRENN_WRITABLE;
  return found & how;
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
