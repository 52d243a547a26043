/* Signals as events. libuv's handler writes to a pipe that the loop reads; it
 * is installed while at least one operation of the process watches the
 * signal. */
#include <signal.h>
#include <stdlib.h>

#include "op.h"

typedef struct signal_op {
  wrenn_op op; /* first */
  bool watched;
  uv_signal_t handle;
} signal_op;

/* What comes while an event of it is in the queue is the same event, as it is
 * for the kernel. */
static void on_signal(uv_signal_t *handle, int number) {
  signal_op *s = handle->data;
  if (s->op.backlog > 0)
    return;
  wrenn_node *node = wrenn_op_node(&s->op, WRENN_EV_SIGNAL, 0);
  if (!node)
    return;
  node->event.code = number;
  wrenn_op_emit(&s->op, node);
}

static void on_closed(uv_handle_t *handle) {
  signal_op *s = handle->data;
  wrenn_op_unref(&s->op);
}

static void stop_signal(wrenn_op *op) {
  signal_op *s = (signal_op *)op;
  if (s->watched)
    uv_close((uv_handle_t *)&s->handle, on_closed);
  else
    wrenn_op_unref(op);
}

static void free_signal(wrenn_op *op) { free(op); }

/* Installs the handler, unless the signal is ignored. */
static wrenn_status watch(signal_op *s, int number) {
  struct sigaction now;
  if (sigaction(number, NULL, &now))
    return WRENN_E_ARGUMENT;
  if (!(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_IGN)
    return WRENN_OK;
  wrenn_streams held = wrenn_streams_hold();
  int rc = uv_signal_init(&s->op.loop->uv, &s->handle);
  wrenn_streams_release(&held);
  if (rc)
    return WRENN_E_SYSTEM;
  s->watched = true;
  rc = uv_signal_start(&s->handle, on_signal, number);
  if (rc)
    return rc == UV_EINVAL ? WRENN_E_ARGUMENT : WRENN_E_SYSTEM;
  wrenn_loop_dirty(s->op.loop);
  return WRENN_OK;
}

wrenn_status wrenn_signal_start(wrenn_loop *loop, int number, void *user,
                                wrenn_id *id) {
  static const wrenn_op_class class = {.stop = stop_signal,
                                       .free = free_signal};
  static const wrenn_deadlines none = {0};
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  signal_op *s = calloc(1, sizeof(*s));
  if (!s)
    return WRENN_E_MEMORY;
  s->op.user = user;
  s->handle.data = s;
  status = wrenn_op_start(loop, &s->op, &class, &none);
  if (status) {
    free(s);
    return status;
  }
  *id = s->op.id;
  status = watch(s, number);
  if (status) { /* the caller is told now, and has no use for an event */
    wrenn_cancel(loop, *id);
    wrenn_queue_drop(&loop->queue, *id);
  }
  return status;
}
