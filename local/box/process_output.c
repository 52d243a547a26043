/*
 * Processes: their output, passed to listeners.
 *
 * Early generations pass on each piece as it arrives, and nobody gets earlier
 * output. Later ones collect what arrives within a few milliseconds, and keep
 * the latest output for new listeners.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "box/process.h"

#define READ_SIZE ((size_t)32 * 1024)
/* Output after a pause is passed on at once. The next is collected for this
 * time, or up to this size. */
#define GATHER_MS 4
#define GATHER_MAX ((size_t)64 * 1024)
/* What a new listener gets. The record grows to twice that size before it is
 * cut, because cutting moves it. */
#define REPLAY_MAX ((size_t)256 * 1024)

/* ---- the past ------------------------------------------------------------ */

typedef struct record {
  process_output which;
  size_t len;
} record;

static record record_at(const process *p, size_t at) {
  record r;
  memcpy(&r, p->past.data + at, sizeof(r));
  return r;
}

/* The start of the last records that fit into what is shown. */
static size_t begin_of_replay(const process *p) {
  size_t at = 0;
  while (p->past.len - at > REPLAY_MAX)
    at += sizeof(record) + record_at(p, at).len;
  return at;
}

static void remember(process *p, process_output which, const char *data,
                     size_t len) {
  const record r = {which, len};
  wrenn_buf_append(&p->past, &r, sizeof(r));
  wrenn_buf_append(&p->past, data, len);
  if (p->past.oom)
    wrenn_buf_free(&p->past);
  else if (p->past.len > 2 * REPLAY_MAX)
    wrenn_buf_consume(&p->past, begin_of_replay(p));
}

static void replay(const process *p, process_sink *sink) {
  size_t at = begin_of_replay(p);
  while (at < p->past.len && sink->of) {
    record r = record_at(p, at);
    at += sizeof(r);
    sink->output(sink, r.which, p->past.data + at, r.len);
    at += r.len;
  }
}

/* ---- gathering ----------------------------------------------------------- */

static void hand_on(process *p, process_output which, const char *data,
                    size_t len) {
  LIST_EACH (process_sink, sink, &p->sinks, link)
    sink->output(sink, which, data, len);
}

static void hand_on_gathered(process *p, process_output which) {
  wrenn_buf data = p->gathered[which];
  p->gathered[which] = (wrenn_buf){0};
  if (data.len > 0) {
    remember(p, which, data.data, data.len);
    hand_on(p, which, data.data, data.len);
  }
  wrenn_buf_free(&data);
}

void process_flush(process *p) {
  hand_on_gathered(p, PROCESS_STDOUT);
  hand_on_gathered(p, PROCESS_STDERR);
  hand_on_gathered(p, PROCESS_PTY);
}

/* Input has arrived: the client waits for its echo. */
void process_hurry(process *p) {
  process_flush(p);
  uv_timer_stop(&p->breath);
}

static void on_breath(uv_timer_t *timer);

static void breathe(process *p) {
  if (!uv_is_closing((uv_handle_t *)&p->breath))
    uv_timer_start(&p->breath, on_breath, GATHER_MS, 0);
}

static void on_breath(uv_timer_t *timer) {
  process *p = timer->data;
  size_t waiting = p->gathered[PROCESS_STDOUT].len +
                   p->gathered[PROCESS_STDERR].len +
                   p->gathered[PROCESS_PTY].len;
  process_flush(p);
  if (waiting > 0)
    breathe(p);
}

static void gather(process *p, process_output which, const char *data,
                   size_t len) {
  wrenn_buf *to = &p->gathered[which];
  bool breathing = uv_is_active((uv_handle_t *)&p->breath);
  if (breathing)
    wrenn_buf_append(to, data, len);
  if (!breathing || to->oom) {
    hand_on_gathered(p, which); /* what did fit */
    remember(p, which, data, len);
    hand_on(p, which, data, len);
    breathe(p);
  } else if (to->len >= GATHER_MAX) {
    hand_on_gathered(p, which);
  }
}

/* ---- reading ------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
  (void)handle;
  (void)hint;
  buf->base = malloc(READ_SIZE);
  buf->len = buf->base ? READ_SIZE : 0;
}

static void take(process *p, process_output which, const char *data,
                 size_t len) {
  p->printed = true;
  if (p->of->site->replays)
    gather(p, which, data, len);
  else
    hand_on(p, which, data, len);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  process *p = stream->data;
  process_output which = p->pty ? PROCESS_PTY
                         : stream == (uv_stream_t *)&p->pipes[0]
                             ? PROCESS_STDOUT
                             : PROCESS_STDERR;
  if (len > 0)
    take(p, which, buf->base, (size_t)len);
  free(buf->base);
  if (len >= 0)
    return;
  /* The end; for a terminal it is EIO. libuv reports a hang-up as the end while
   * there is more to read; a full listener reads on later. */
  if (p->pty)
    process_read_rest(p);
  if (!p->pty || !process_has_full_sink(p))
    process_pipe_ended(p, stream);
}

void process_read_rest(process *p) {
  char data[4096];
  uv_os_fd_t fd;
  ssize_t len;
  if (uv_fileno((uv_handle_t *)&p->pipes[0], &fd))
    return;
  while (!process_has_full_sink(p) && (len = read(fd, data, sizeof(data))) > 0)
    take(p, PROCESS_PTY, data, (size_t)len);
}

bool process_has_full_sink(const process *p) {
  LIST_EACH (const process_sink, sink, &p->sinks, link)
    if (sink->full)
      return true;
  return false;
}

void process_update(process *p) {
  bool full = process_has_full_sink(p);
  unsigned count = p->pty ? 1 : 2;
  for (unsigned i = 0; i < count; i++) {
    uv_stream_t *stream = (uv_stream_t *)&p->pipes[i];
    if (uv_is_closing((uv_handle_t *)stream))
      continue;
    if (full)
      uv_read_stop(stream);
    else
      uv_read_start(stream, on_alloc, on_read);
  }
}

void process_output_init(process *p) {
  uv_timer_init(p->of->site->loop, &p->breath);
  p->breath.data = p;
  p->open_handles++;
}

void process_output_free(process *p) {
  for (size_t i = 0; i < sizeof(p->gathered) / sizeof(p->gathered[0]); i++)
    wrenn_buf_free(&p->gathered[i]);
  wrenn_buf_free(&p->past);
}

/* ---- listening ----------------------------------------------------------- */

void process_listen(process *p, process_sink *sink) {
  process_flush(p);
  sink->of = p;
  sink->full = false;
  list_prepend(&p->sinks, &sink->link);
  replay(p, sink);
}

void process_leave(process_sink *sink) {
  process *p = sink->of;
  if (!p)
    return;
  list_remove(&sink->link);
  sink->of = NULL;
  process_update(p);
}

void process_sink_full(process_sink *sink, bool full) {
  if (!sink->of || sink->full == full)
    return;
  sink->full = full;
  process_update(sink->of);
}
