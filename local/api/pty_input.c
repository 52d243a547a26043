/* The input of terminals. As on the real server, each client has a short queue,
 * which is processed while more messages arrive. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "api/pty.h"

/* Further messages are dropped silently. */
#define QUEUE_MAX 64

typedef struct message {
  enum { TYPED, RESIZED, KILLED } kind;
  size_t len; /* of what has been typed, which follows */
  int64_t cols, rows;
} message;

static void on_nothing(void *arg, const sandbox_reply *reply) {
  (void)arg;
  (void)reply;
}

void terminal_unref(terminal *t) {
  if (--t->refs > 0)
    return;
  wrenn_buf_free(&t->queue);
  free(t);
}

static message first(const terminal *t) {
  message m;
  memcpy(&m, t->queue.data, sizeof(m));
  return m;
}

static void drop_first(terminal *t) {
  wrenn_buf_consume(&t->queue, sizeof(message) + first(t).len);
  t->queued--;
}

/* Joins consecutive input; returns an allocated block, or NULL when memory is
 * out. */
static char *take_typed(terminal *t, size_t *len) {
  char *data = malloc(t->queue.len);
  *len = 0;
  while (t->queued > 0 && first(t).kind == TYPED) {
    size_t part = first(t).len;
    if (data)
      memcpy(data + *len, t->queue.data + sizeof(message), part);
    *len += part;
    drop_first(t);
  }
  return data;
}

/* Executes the first message of the queue; without a process it is lost.
 * Returns whether `done` follows. */
static bool do_first(terminal *t, process *p, process_typed *done, void *arg) {
  message m = first(t);
  if (m.kind == TYPED) {
    size_t len;
    char *data = take_typed(t, &len);
    if (p && data)
      return process_write(p, data, len, done, arg);
    free(data);
    return false;
  }
  drop_first(t);
  if (p && m.kind == RESIZED)
    process_resize(p, m.cols, m.rows);
  else if (p)
    process_signal(p, SIGKILL, on_nothing, NULL);
  return false;
}

static void on_typed(void *arg) {
  terminal *t = arg;
  t->busy = false;
  terminal_work(t);
  terminal_unref(t);
}

void terminal_work(terminal *t) {
  while (t->queued > 0 && !t->busy) {
    t->busy = do_first(t, t->sink.of, on_typed, t);
    t->refs += t->busy;
  }
}

static void take(terminal *t, const message *m, const char *data) {
  if (t->queued == QUEUE_MAX)
    return;
  wrenn_buf_append(&t->queue, m, sizeof(*m));
  wrenn_buf_append(&t->queue, data, m->len);
  if (t->queue.oom) {
    wrenn_buf_free(&t->queue);
    t->queued = 0;
    return;
  }
  t->queued++;
  terminal_work(t);
}

void terminal_type(terminal *t, const char *data, size_t len) {
  const message m = {.kind = TYPED, .len = len};
  if (len > 0)
    take(t, &m, data);
}

void terminal_resize(terminal *t, int64_t cols, int64_t rows) {
  const message m = {.kind = RESIZED, .cols = cols, .rows = rows};
  take(t, &m, "");
}

void terminal_kill(terminal *t) {
  const message m = {.kind = KILLED};
  take(t, &m, "");
}

void terminal_end_input(terminal *t, process *p) {
  while (t->queued > 0)
    do_first(t, p, NULL, NULL);
}
