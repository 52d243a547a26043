/* Processes: input of a terminal. */
#include <stdlib.h>
#include <string.h>

#include "box/process.h"

/* How often, and for how long, a write to a terminal is tried while its program
 * does not read. */
#define RETRY_MS 1
#define PATIENCE_MS 5000

typedef struct input {
  list_link link;
  char *data;
  size_t len, at;
  uint64_t until; /* 0: not begun */
  process_typed *done;
  void *arg;
} input;

static input *first(const process *p) {
  return LIST_ITEM(p->inputs.first, input, link);
}

static void end_first(process *p) {
  input *in = LIST_ITEM(list_pop(&p->inputs), input, link);
  if (in->done)
    in->done(in->arg);
  free(in->data);
  free(in);
}

/* Writes as much as the terminal accepts. Returns true if the first block is
 * complete, or has waited for too long. */
static bool type_first(process *p) {
  uv_stream_t *stream = (uv_stream_t *)&p->pipes[0];
  uint64_t now = uv_now(p->of->site->loop);
  input *in = first(p);
  if (in->until == 0)
    in->until = now + PATIENCE_MS;
  if (in->at == in->len || uv_is_closing((uv_handle_t *)stream))
    return true;
  uv_buf_t buf = uv_buf_init(in->data + in->at, (unsigned)(in->len - in->at));
  process_hurry(p);
  int sent = uv_try_write(stream, &buf, 1);
  if (sent > 0)
    in->at += (size_t)sent;
  return in->at == in->len || (sent < 0 && sent != UV_EAGAIN) ||
         now >= in->until;
}

/* Each end is reported in its own turn: on the real server it is the answer to
 * a request. */
static void on_typing(uv_timer_t *timer) {
  process *p = timer->data;
  bool over = type_first(p);
  if (over)
    end_first(p);
  if (first(p))
    uv_timer_start(timer, on_typing, over ? 0 : RETRY_MS, 0);
}

bool process_write(process *p, char *data, size_t len, process_typed *done,
                   void *arg) {
  input *in = p->pty && !p->told ? calloc(1, sizeof(*in)) : NULL;
  if (!in) {
    free(data);
    return false;
  }
  *in = (input){.data = data, .len = len, .done = done, .arg = arg};
  list_append(&p->inputs, &in->link);
  if (in == first(p)) {
    type_first(p);
    uv_timer_start(&p->typing, on_typing, 0, 0);
  }
  return true;
}

void process_input_init(process *p) {
  uv_timer_init(p->of->site->loop, &p->typing);
  p->typing.data = p;
  p->open_handles++;
}

void process_input_end(process *p) {
  while (first(p))
    end_first(p);
}
