#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"

struct wrenn_relay {
  pid_t pid;
  pthread_t thread;
  int loop_fd; /* a duplicate: the loop may end first */
  int stop_fd; /* an eventfd: readable once the thread has to end */
  int listen_fd;
  char dir[64]; /* empty: there is none (any more) */
  struct sockaddr_un address;
};

/* ---- the thread ---------------------------------------------------------- */

/* Waits for a descriptor, and for the end of the peer (-1: no peer). Returns
 * false if the thread has to end. */
static bool wait_for(const wrenn_relay *relay, int fd, int peer) {
  struct pollfd list[] = {{.fd = fd, .events = POLLIN},
                          {.fd = relay->stop_fd, .events = POLLIN},
                          {.fd = peer, .events = POLLRDHUP}};
  while (poll(list, sizeof(list) / sizeof(*list), -1) < 0)
    if (errno != EINTR)
      return false;
  return !list[1].revents && !list[2].revents;
}

static bool is_this_process(const wrenn_relay *relay, int peer) {
  struct ucred who = {0};
  socklen_t len = sizeof(who);
  return !getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &len) &&
         who.pid == relay->pid;
}

static int accept_peer(const wrenn_relay *relay) {
  while (wait_for(relay, relay->listen_fd, -1)) {
    int peer = accept4(relay->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (peer >= 0 && is_this_process(relay, peer))
      return peer;
    if (peer >= 0)
      close(peer);
    else if (errno != EINTR && errno != ECONNABORTED)
      break;
  }
  return -1;
}

static void remove_path(wrenn_relay *relay) {
  if (!*relay->dir)
    return;
  unlink(relay->address.sun_path);
  rmdir(relay->dir);
  *relay->dir = 0;
}

/* A byte is a request, a byte is the answer: the relay never runs ahead of the
 * host. */
static void *run_thread(void *arg) {
  wrenn_relay *relay = arg;
  char byte;
  int peer = accept_peer(relay);
  if (peer < 0)
    return NULL;
  remove_path(relay);
  while (wait_for(relay, peer, peer) && recv(peer, &byte, 1, 0) == 1 &&
         wait_for(relay, relay->loop_fd, peer) &&
         send(peer, &byte, 1, MSG_NOSIGNAL) == 1)
    ;
  close(peer);
  return NULL;
}

static int start_thread(wrenn_relay *relay) {
  pthread_attr_t attr;
  sigset_t all, before;
  if (pthread_attr_init(&attr))
    return -1;
  pthread_attr_setstacksize(&attr, (size_t)64 * 1024);
  sigfillset(&all); /* signals are for the application's threads */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&relay->thread, &attr, run_thread, relay);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  return rc;
}

/* ---- its life ------------------------------------------------------------ */

/* Creates a directory that nobody else can enter, with the socket in it. */
static bool start_listening(wrenn_relay *relay) {
  static const char name[] = "wrenn-relay-XXXXXX";
  const char *temp = getenv("TMPDIR");
  if (!temp || *temp != '/' || strlen(temp) + sizeof(name) > 60)
    temp = "/tmp";
  snprintf(relay->dir, sizeof(relay->dir), "%s/%s", temp, name);
  if (!mkdtemp(relay->dir)) {
    *relay->dir = 0;
    return false;
  }
  relay->address.sun_family = AF_UNIX;
  snprintf(relay->address.sun_path, sizeof(relay->address.sun_path),
           "%s/socket", relay->dir);
  relay->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return relay->listen_fd >= 0 &&
         !bind(relay->listen_fd, (const struct sockaddr *)&relay->address,
               sizeof(relay->address)) &&
         !listen(relay->listen_fd, 4);
}

static void close_fd(int fd) {
  if (fd >= 0)
    close(fd);
}

static void free_relay(wrenn_relay *relay) {
  remove_path(relay);
  close_fd(relay->loop_fd);
  close_fd(relay->stop_fd);
  close_fd(relay->listen_fd);
  free(relay);
}

wrenn_relay *wrenn_relay_start(wrenn_loop *loop, wrenn_status *why) {
  *why = wrenn_loop_watch(loop);
  if (*why)
    return NULL;
  wrenn_relay *relay = calloc(1, sizeof(*relay));
  if (!relay) {
    *why = WRENN_E_MEMORY;
    return NULL;
  }
  relay->pid = getpid();
  relay->listen_fd = -1;
  wrenn_streams held = wrenn_streams_hold();
  relay->loop_fd = fcntl(wrenn_loop_fd(loop), F_DUPFD_CLOEXEC, 3);
  relay->stop_fd = eventfd(0, EFD_CLOEXEC);
  bool ready =
      relay->loop_fd >= 0 && relay->stop_fd >= 0 && start_listening(relay);
  wrenn_streams_release(&held);
  if (!ready || start_thread(relay)) {
    free_relay(relay);
    *why = WRENN_E_SYSTEM;
    return NULL;
  }
  return relay;
}

const char *wrenn_relay_path(const wrenn_relay *relay) {
  return relay->address.sun_path;
}

void wrenn_relay_stop(wrenn_relay *relay) {
  /* A forked child has a copy of the memory but not the thread. */
  if (!relay || relay->pid != getpid())
    return;
  eventfd_write(relay->stop_fd, 1);
  pthread_join(relay->thread, NULL);
  free_relay(relay);
}
