/*
 * A relay, for a host that reads sockets but cannot watch a descriptor
 * (OpenResty): a thread waits for the loop's fd in its place and talks to it
 * over a unix socket. The host connects, sends a byte, gets it back once the
 * loop has something to do, steps the loop, sends it again, and so on.
 *
 * The thread uses descriptors only, never the loop and never Lua.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../descriptor.h"
#include "../system.h"
#include "module.h"

typedef struct relay {
  pid_t pid;
  pthread_t thread;
  int loop_fd; /* a duplicate: the loop may end first */
  int stop_fd; /* an alarm: readable once the thread has to end */
  int listen_fd;
  char dir[64]; /* empty: there is none (any more) */
  struct sockaddr_un address;
} relay;

/* ---- the thread ---------------------------------------------------------- */

/* Waits for a descriptor, and for the end of the peer (-1: no peer). Returns
 * false if the thread has to end. What is there already is taken first: a unix
 * socket closed over something unread, or not yet accepted, is a reset
 * connection to its peer. */
static bool wait_for(const relay *r, int fd, int peer) {
  struct pollfd list[] = {{.fd = fd, .events = POLLIN},
                          {.fd = r->stop_fd, .events = POLLIN},
                          {.fd = peer, .events = wrenn_poll_end()}};
  while (poll(list, sizeof(list) / sizeof(*list), -1) < 0)
    if (errno != EINTR)
      return false;
  return (list[0].revents || !list[1].revents) && !list[2].revents;
}

static int accept_peer(const relay *r) {
  while (wait_for(r, r->listen_fd, -1)) {
    int peer = wrenn_accept(r->listen_fd);
    if (peer >= 0 && wrenn_peer_is(peer, r->pid))
      return wrenn_above_streams(peer);
    if (peer >= 0)
      close(peer);
    else if (errno != EINTR && errno != ECONNABORTED)
      break;
  }
  return -1;
}

static void remove_path(relay *r) {
  if (!*r->dir)
    return;
  unlink(r->address.sun_path);
  rmdir(r->dir);
  *r->dir = 0;
}

/* A byte is a request, a byte is the answer: the relay never runs ahead of the
 * host. */
static void *run_thread(void *arg) {
  relay *r = arg;
  char byte;
  int peer = accept_peer(r);
  if (peer < 0)
    return NULL;
  remove_path(r);
  while (wait_for(r, peer, peer) && recv(peer, &byte, 1, 0) == 1 &&
         wait_for(r, r->loop_fd, peer) &&
         send(peer, &byte, 1, MSG_NOSIGNAL) == 1)
    ;
  close(peer);
  return NULL;
}

static int start_thread(relay *r) {
  pthread_attr_t attr;
  sigset_t all, before;
  if (pthread_attr_init(&attr))
    return -1;
  pthread_attr_setstacksize(&attr, (size_t)64 * 1024);
  sigfillset(&all); /* signals are for the application's threads */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&r->thread, &attr, run_thread, r);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  return rc;
}

/* ---- its life ------------------------------------------------------------ */

/* Creates a directory that nobody else can enter, with the socket in it. */
static bool start_listening(relay *r) {
  static const char name[] = "wrenn-relay-XXXXXX";
  const char *temp = getenv("TMPDIR");
  if (!temp || *temp != '/' || strlen(temp) + sizeof(name) > 60)
    temp = "/tmp";
  snprintf(r->dir, sizeof(r->dir), "%s/%s", temp, name);
  if (!mkdtemp(r->dir)) {
    *r->dir = 0;
    return false;
  }
  r->address.sun_family = AF_UNIX;
  snprintf(r->address.sun_path, sizeof(r->address.sun_path), "%s/socket",
           r->dir);
  r->listen_fd = wrenn_above_streams(wrenn_socket(AF_UNIX, SOCK_STREAM, 0));
  return r->listen_fd >= 0 &&
         !bind(r->listen_fd, (const struct sockaddr *)&r->address,
               sizeof(r->address)) &&
         !listen(r->listen_fd, 4);
}

static void close_fd(int fd) {
  if (fd >= 0)
    close(fd);
}

static void free_relay(relay *r) {
  remove_path(r);
  close_fd(r->loop_fd);
  close_fd(r->stop_fd);
  close_fd(r->listen_fd);
  free(r);
}

/* Starts a relay of a loop, which is watched from now on. It accepts one
 * connection, from this process, and ends with it. NULL with *why set on
 * failure. */
static relay *start_relay(wrenn_loop *loop, wrenn_status *why) {
  *why = wrenn_loop_watch(loop);
  if (*why)
    return NULL;
  relay *made = calloc(1, sizeof(*made));
  if (!made) {
    *why = WRENN_E_MEMORY;
    return NULL;
  }
  made->pid = getpid();
  made->listen_fd = -1;
  made->loop_fd = fcntl(wrenn_loop_fd(loop), F_DUPFD_CLOEXEC, 3);
  made->stop_fd = wrenn_above_streams(wrenn_alarm_new());
  if (made->loop_fd < 0 || made->stop_fd < 0 || !start_listening(made) ||
      start_thread(made)) {
    free_relay(made);
    *why = WRENN_E_SYSTEM;
    return NULL;
  }
  return made;
}

/* ---- methods ------------------------------------------------------------- */

static relay **check_relay(lua_State *L) {
  return luaL_checkudata(L, 1, "wrenn.relay");
}

/* loop:relay() -> relay; or nil, code, message. */
static int loop_relay(lua_State *L) {
  wrenn_status status;
  wrenn_loop *loop = binding_check_loop(L, 1, NULL);
  relay **box = lua_newuserdata(L, sizeof(relay *));
  *box = NULL;
  luaL_getmetatable(L, "wrenn.relay");
  lua_setmetatable(L, -2);
  *box = start_relay(loop, &status);
  return *box ? 1 : binding_push_failure(L, status);
}

/* The address for the only connection. */
static int relay_path(lua_State *L) {
  relay *r = *check_relay(L);
  luaL_argcheck(L, r, 1, "the relay is stopped");
  lua_pushstring(L, r->address.sun_path);
  return 1;
}

/* Ends the thread and frees the relay, before or after its loop. */
static int relay_stop(lua_State *L) {
  relay **box = check_relay(L);
  relay *r = *box;
  *box = NULL;
  /* A forked child has a copy of the memory but not the thread. */
  if (!r || r->pid != getpid())
    return 0;
  wrenn_alarm_set(r->stop_fd, 0);
  pthread_join(r->thread, NULL);
  free_relay(r);
  return 0;
}

void binding_add_relay(lua_State *L) {
  static const luaL_Reg starters[] = {{"relay", loop_relay}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"path", relay_path}, {"stop", relay_stop}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", relay_stop}, {NULL, NULL}};
  luaL_setfuncs(L, starters, 0);
  binding_new_class(L, "wrenn.relay", methods, meta);
}
