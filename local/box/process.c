#include "box/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/json_out.h"

/* A terminal whose program has ended, and that has been quiet for this long, is
 * considered finished. */
#define PTY_QUIET_MS 50

/* ---- life ---------------------------------------------------------------- */

void process_on_handle_closed(uv_handle_t *handle) {
  process *p = handle->data;
  if (--p->open_handles > 0)
    return;
  process_output_free(p);
  free(p->tag);
  wrenn_buf_free(&p->words);
  free(p);
}

static void close_handle(uv_handle_t *handle) {
  if (!uv_is_closing(handle))
    uv_close(handle, process_on_handle_closed);
}

/* The end is reported when the process has ended and its output is complete. */
static void tell_end(process *p) {
  if (p->told || !p->exited || p->open_pipes > 0)
    return;
  p->told = true;
  list_remove(&p->link);
  process_flush(p);
  process_sink *sink;
  while ((sink = LIST_ITEM(list_pop(&p->sinks), process_sink, link))) {
    sink->of = NULL;
    sink->exited(sink, p->code);
  }
  process_input_end(p);
  close_handle((uv_handle_t *)&p->timer);
  close_handle((uv_handle_t *)&p->typing);
  close_handle((uv_handle_t *)&p->breath);
}

static void close_pipe(process *p, uv_pipe_t *pipe) {
  if (uv_is_closing((uv_handle_t *)pipe))
    return;
  close_handle((uv_handle_t *)pipe);
  p->open_pipes--;
}

void process_end_output(process *p) {
  unsigned count = p->pty ? 1 : 2;
  for (unsigned i = 0; i < count; i++)
    close_pipe(p, &p->pipes[i]);
}

void process_pipe_ended(process *p, uv_stream_t *pipe) {
  close_pipe(p, (uv_pipe_t *)pipe);
  tell_end(p);
}

/* The program of a terminal has ended. A child that holds the terminal open
 * does not count, but pending output does, as long as it keeps coming. */
static void on_quiet(uv_timer_t *timer) {
  process *p = timer->data;
  process_read_rest(p); /* a delayed loop runs timers before it reads */
  if (p->printed || process_has_full_sink(p)) {
    p->printed = false;
    return;
  }
  process_end_output(p);
  tell_end(p);
}

static process *find_running(const box *b, int64_t pid) {
  LIST_EACH (process, p, &b->processes, link)
    if (p->pid == pid && !p->exited)
      return p;
  return NULL;
}

void process_exited(box *b, int64_t pid, int code) {
  process *p = find_running(b, pid);
  if (!p)
    return;
  p->exited = true;
  p->code = code;
  if (!b->site->lists_to_the_end)
    list_remove(&p->link);
  if (p->pty && p->open_pipes > 0)
    uv_timer_start(&p->timer, on_quiet, PTY_QUIET_MS, PTY_QUIET_MS);
  tell_end(p);
}

void processes_end(box *b) {
  process *p;
  while ((p = LIST_ITEM(list_pop(&b->processes), process, link))) {
    p->exited = true;
    p->code = -1;
    process_end_output(p);
    tell_end(p);
  }
}

/* ---- orders -------------------------------------------------------------- */

void process_resize(process *p, int64_t cols, int64_t rows) {
  int fd;
  struct winsize size = {.ws_col = (unsigned short)cols,
                         .ws_row = (unsigned short)rows};
  if (p->pty && !uv_is_closing((uv_handle_t *)&p->pipes[0]) &&
      uv_fileno((uv_handle_t *)&p->pipes[0], &fd) == 0)
    ioctl(fd, TIOCSWINSZ, &size);
}

bool process_signal(process *p, int signal, sandbox_done *done, void *arg) {
  wrenn_buf order = {0};
  json_text(&order, "op", "kill");
  json_int(&order, "pid", p->pid);
  json_int(&order, "signal", signal);
  if (p->of->site->kills_group)
    json_bool(&order, "group", true);
  bool sent = box_order(p->of, &order, done, arg);
  wrenn_buf_free(&order);
  return sent;
}

/* ---- lists --------------------------------------------------------------- */

static bool is_pid(const char *selector, int64_t *pid) {
  char *end;
  size_t len = strlen(selector);
  if (len == 0 || len > 10 || strspn(selector, "0123456789") != len)
    return false;
  *pid = strtoll(selector, &end, 10);
  return *pid <= UINT32_MAX;
}

process *process_find_tag(const box *b, const char *tag) {
  LIST_EACH (process, p, &b->processes, link)
    if (p->tag && strcmp(p->tag, tag) == 0)
      return p;
  return NULL;
}

process *process_find(const box *b, const char *selector) {
  int64_t pid;
  if (!is_pid(selector, &pid))
    return process_find_tag(b, selector);
  LIST_EACH (process, p, &b->processes, link)
    if (p->pid == pid)
      return p;
  return NULL;
}

void process_unknown(const char *selector, char *text, size_t size) {
  int64_t pid;
  snprintf(text, size, "process with %s %.200s not found",
           is_pid(selector, &pid) ? "pid" : "tag", selector);
}

void process_put(const process *p, wrenn_buf *out) {
  json_object(out, NULL);
  json_int(out, "pid", p->pid);
  if (p->tag)
    json_text(out, "tag", p->tag);
  json_written(out, p->words.data, p->words.len);
  json_object_end(out);
}
