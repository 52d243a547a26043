/* Descriptors of the program's own. Each operation has an epoll instance for
 * its descriptor, and libuv watches that one: libuv would set O_NONBLOCK on
 * what it watches, which a terminal or a pipe shares with other processes, and
 * would not watch one descriptor twice. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "op.h"

typedef struct ready_op {
  wrenn_op op; /* first */
  int fd;      /* the epoll instance; -1: the descriptor is always ready */
  int how;     /* what is waited for */
  bool watched;
  uv_poll_t poll;
} ready_op;

static void finish(ready_op *r, int how) {
  wrenn_node *node = wrenn_op_node(&r->op, WRENN_EV_READY, 0);
  if (node)
    node->event.code = how;
  wrenn_op_finish(&r->op, node);
}

/* An end or an error is told as what is waited for: the call that follows
 * returns it. */
static int how_of(const ready_op *r, uint32_t events) {
  int how = 0;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
    how |= WRENN_READABLE;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
    how |= WRENN_WRITABLE;
  return how & r->how;
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  ready_op *r = poll->data;
  struct epoll_event event = {0};
  if (epoll_wait(r->fd, &event, 1, 0) == 1)
    finish(r, how_of(r, event.events));
}

static void kick_ready(wrenn_op *op) {
  ready_op *r = (ready_op *)op;
  if (r->fd < 0)
    finish(r, r->how);
}

static void on_closed(uv_handle_t *handle) {
  ready_op *r = handle->data;
  close(r->fd);
  r->fd = -1;
  wrenn_op_unref(&r->op);
}

static void stop_ready(wrenn_op *op) {
  ready_op *r = (ready_op *)op;
  if (r->watched)
    uv_close((uv_handle_t *)&r->poll, on_closed);
  else
    wrenn_op_unref(op);
}

static void free_ready(wrenn_op *op) {
  ready_op *r = (ready_op *)op;
  if (r->fd >= 0)
    close(r->fd);
  free(r);
}

/* Opens the epoll instance. */
static wrenn_status open_epoll(ready_op *r, int fd) {
  struct epoll_event wanted = {0};
  if (r->how & WRENN_READABLE)
    wanted.events |= EPOLLIN;
  if (r->how & WRENN_WRITABLE)
    wanted.events |= EPOLLOUT;
  wrenn_streams held = wrenn_streams_hold();
  r->fd = epoll_create1(EPOLL_CLOEXEC);
  wrenn_streams_release(&held);
  if (r->fd < 0)
    return WRENN_E_SYSTEM;
  if (!epoll_ctl(r->fd, EPOLL_CTL_ADD, fd, &wanted))
    return WRENN_OK;
  int why = errno;
  close(r->fd);
  r->fd = -1;
  if (why == EPERM) /* a file, or /dev/null */
    return WRENN_OK;
  return why == EBADF ? WRENN_E_ARGUMENT : WRENN_E_SYSTEM;
}

wrenn_status wrenn_ready_start(wrenn_loop *loop, int fd, int how, void *user,
                               wrenn_id *id) {
  static const wrenn_op_class class = {
      .kick = kick_ready, .stop = stop_ready, .free = free_ready};
  static const wrenn_deadlines none = {0};
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  if (!how || how & ~(WRENN_READABLE | WRENN_WRITABLE))
    return WRENN_E_ARGUMENT;
  ready_op *r = calloc(1, sizeof(*r));
  if (!r)
    return WRENN_E_MEMORY;
  r->op.user = user;
  r->how = how;
  r->poll.data = r;
  status = open_epoll(r, fd);
  if (!status)
    status = wrenn_op_start(loop, &r->op, &class, &none);
  if (status) {
    free_ready(&r->op);
    return status;
  }
  *id = r->op.id;
  if (r->fd < 0) {
    wrenn_op_kick(&r->op);
    return WRENN_OK;
  }
  r->watched = !uv_poll_init(&loop->uv, &r->poll, r->fd);
  if (r->watched) {
    uv_poll_start(&r->poll, UV_READABLE, on_poll);
    wrenn_loop_dirty(loop); /* libuv tells the kernel only when it runs */
  } else {
    wrenn_op_fail(&r->op, WRENN_E_SYSTEM, "%s", wrenn_strerror(WRENN_E_SYSTEM));
  }
  return WRENN_OK;
}
