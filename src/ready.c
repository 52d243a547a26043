/* Descriptors of the program's own. Each operation has a descriptor of the
 * library's that tells of them, and libuv watches that one: libuv would set
 * O_NONBLOCK on what it watches, which a terminal or a pipe shares with other
 * processes, and would not watch one descriptor twice. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "op.h"
#include "system.h"

typedef struct ready_op {
  wrenn_op op; /* first */
  int fd;      /* of the library's; -1: the program's is always ready */
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

static void on_poll(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  ready_op *r = poll->data;
  int how = wrenn_readiness_take(r->fd, r->how);
  if (how)
    finish(r, how);
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

static wrenn_status open_readiness(ready_op *r, int fd) {
  /* Before it takes the number of a missing stream, which may be `fd`. */
  bool missing = fcntl(fd, F_GETFD) < 0;
  wrenn_streams held = wrenn_streams_hold();
  r->fd = missing ? -1 : wrenn_readiness_new(fd, r->how);
  int why = missing ? EBADF : errno;
  wrenn_streams_release(&held);
  if (r->fd >= 0 || why == EPERM) /* always ready: a file, or /dev/null */
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
  status = open_readiness(r, fd);
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
