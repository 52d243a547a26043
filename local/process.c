#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define READ_SIZE (32 * 1024)
/* A terminal's program has ended; what it still printed comes within this. */
#define PTY_DRAIN_MS 50
/* The server's queue of input; what comes while it is full is dropped. */
#define MAX_WRITES 64

/* ---- life ---------------------------------------------------------------- */

static void unlist(process *p) {
  process **at = &p->of->processes;
  if (!p->listed)
    return;
  p->listed = false;
  while (*at != p)
    at = &(*at)->next;
  *at = p->next;
}

static void on_handle_closed(uv_handle_t *handle) {
  process *p = handle->data;
  if (--p->open_handles > 0)
    return;
  free(p->tag);
  wrenn_buf_free(&p->words);
  free(p);
}

static void close_handle(uv_handle_t *handle) {
  if (!uv_is_closing(handle))
    uv_close(handle, on_handle_closed);
}

/* The end is told once the process has ended and its output is at its end. */
static void tell_end(process *p) {
  if (p->told || !p->exited || p->open_pipes > 0)
    return;
  p->told = true;
  while (p->sinks) {
    process_sink *sink = p->sinks;
    p->sinks = sink->next;
    sink->of = NULL;
    sink->exited(sink, p->code);
  }
  close_handle((uv_handle_t *)&p->timer);
}

static void close_pipe(process *p, uv_pipe_t *pipe) {
  if (uv_is_closing((uv_handle_t *)pipe))
    return;
  close_handle((uv_handle_t *)pipe);
  p->open_pipes--;
}

static void end_output(process *p) {
  unsigned count = p->pty ? 1 : 2;
  for (unsigned i = 0; i < count; i++)
    close_pipe(p, &p->pipes[i]);
}

static void on_drained(uv_timer_t *timer) {
  process *p = timer->data;
  end_output(p);
  tell_end(p);
}

void process_exited(capsule *c, int64_t pid, int code) {
  process *p = c->processes;
  while (p && p->pid != pid)
    p = p->next;
  if (!p)
    return;
  p->exited = true;
  p->code = code;
  unlist(p);
  if (p->pty && p->open_pipes > 0) /* a child may hold the terminal open */
    uv_timer_start(&p->timer, on_drained, PTY_DRAIN_MS, 0);
  tell_end(p);
}

void processes_end(capsule *c) {
  while (c->processes) {
    process *p = c->processes;
    unlist(p);
    p->exited = true;
    p->code = -1;
    end_output(p);
    tell_end(p);
  }
}

/* ---- output -------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
  (void)handle;
  (void)hint;
  buf->base = malloc(READ_SIZE);
  buf->len = buf->base ? READ_SIZE : 0;
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  process *p = stream->data;
  process_output which = p->pty ? PROCESS_PTY
                         : stream == (uv_stream_t *)&p->pipes[0]
                             ? PROCESS_STDOUT
                             : PROCESS_STDERR;
  process_sink *next;
  if (len > 0)
    for (process_sink *sink = p->sinks; sink; sink = next) {
      next = sink->next; /* it may leave meanwhile */
      sink->output(sink, which, buf->base, (size_t)len);
    }
  free(buf->base);
  if (len < 0) { /* the end; of a terminal it is EIO */
    close_pipe(p, (uv_pipe_t *)stream);
    tell_end(p);
  }
}

/* Reads as long as nobody who listens is full. */
static void update_reading(process *p) {
  bool full = false;
  unsigned count = p->pty ? 1 : 2;
  for (process_sink *sink = p->sinks; sink; sink = sink->next)
    full = full || sink->full;
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

void process_listen(process *p, process_sink *sink) {
  sink->of = p;
  sink->full = false;
  sink->next = p->sinks;
  p->sinks = sink;
}

void process_leave(process_sink *sink) {
  process *p = sink->of;
  if (!p)
    return;
  process_sink **at = &p->sinks;
  while (*at != sink)
    at = &(*at)->next;
  *at = sink->next;
  sink->of = NULL;
  update_reading(p);
}

void process_sink_full(process_sink *sink, bool full) {
  if (!sink->of || sink->full == full)
    return;
  sink->full = full;
  update_reading(sink->of);
}

/* ---- input --------------------------------------------------------------- */

typedef struct input {
  uv_write_t write;
  process *to;
  char *data;
} input;

static void on_written(uv_write_t *write, int status) {
  input *in = write->data;
  (void)status;
  in->to->writes--;
  free(in->data);
  free(in);
}

void process_write(process *p, char *data, size_t len) {
  uv_stream_t *stream = (uv_stream_t *)&p->pipes[0];
  uv_buf_t buf = uv_buf_init(data, (unsigned)len);
  input *in = calloc(1, sizeof(*in));
  if (!in || !p->pty || p->writes >= MAX_WRITES ||
      uv_is_closing((uv_handle_t *)stream))
    goto failed;
  in->data = data;
  in->to = p;
  in->write.data = in;
  if (uv_write(&in->write, stream, &buf, 1, on_written))
    goto failed;
  p->writes++;
  return;

failed:
  free(in);
  free(data);
}

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
  wrenn_buf_printf(&order, "{\"op\":\"kill\",\"pid\":%lld,\"signal\":%d}",
                   (long long)p->pid, signal);
  bool sent = p->of->box && sandbox_order(p->of->box, &order, done, arg);
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

process *process_find(const capsule *c, const char *selector) {
  int64_t pid;
  bool by_pid = is_pid(selector, &pid);
  process *p = c->processes;
  while (p && !(by_pid ? p->pid == pid
                       : p->tag && strcmp(p->tag, selector) == 0))
    p = p->next;
  return p;
}

void process_put(const process *p, wrenn_buf *out) {
  wrenn_buf_printf(out, "{\"pid\":%lld", (long long)p->pid);
  if (p->tag) {
    wrenn_buf_puts(out, ",\"tag\":");
    wrenn_json_put_string(out, p->tag, strlen(p->tag));
  }
  wrenn_buf_append(out, p->words.data, p->words.len);
  wrenn_buf_puts(out, "}");
}

/* ---- start --------------------------------------------------------------- */

typedef struct start {
  capsule *of;
  process_started *done;
  void *arg;
  char *tag;
  wrenn_buf words;
  bool pty;
} start;

static void free_start(start *s) {
  if (s) {
    free(s->tag);
    wrenn_buf_free(&s->words);
  }
  free(s);
}

static bool open_pipes(process *p, const sandbox_reply *reply) {
  unsigned count = p->pty ? 1 : 2;
  bool ok = true;
  for (unsigned i = 0; i < count; i++) {
    uv_pipe_init(p->of->all->loop, &p->pipes[i], 0);
    p->pipes[i].data = p;
    p->open_handles++;
    p->open_pipes++;
    int fd = sandbox_take_fd(reply);
    if (fd < 0 || uv_pipe_open(&p->pipes[i], fd)) {
      if (fd >= 0)
        close(fd);
      ok = false;
    }
  }
  return ok;
}

static void on_spawned(void *arg, const sandbox_reply *reply) {
  start *s = arg;
  wrenn_json pid;
  if (reply->error) {
    s->done(s->arg, NULL, reply->error, reply->text);
    free_start(s);
    return;
  }
  process *p = calloc(1, sizeof(*p));
  if (!p) {
    s->done(s->arg, NULL, "failed", "out of memory");
    free_start(s);
    return;
  }
  p->of = s->of;
  p->pty = s->pty;
  p->tag = s->tag;
  p->words = s->words;
  s->tag = NULL;
  s->words = (wrenn_buf){0};
  if (wrenn_json_get(&reply->json, "pid", &pid))
    wrenn_json_int(&pid, &p->pid);
  uv_timer_init(s->of->all->loop, &p->timer);
  p->timer.data = p;
  p->open_handles = 1;
  bool opened = open_pipes(p, reply);
  p->listed = true;
  p->next = p->of->processes;
  p->of->processes = p;
  if (!opened)
    end_output(p);
  s->done(s->arg, p, NULL, NULL);
  update_reading(p);
  free_start(s);
}

static void put_envs(const capsule *c, const wrenn_json *envs,
                     wrenn_buf *out) {
  wrenn_json_iter it;
  wrenn_json name, value;
  wrenn_buf_printf(out,
                   ",\"envs\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
                   "/usr/bin:/sbin:/bin\",\"USER=root\",\"LOGNAME=root\","
                   "\"WRENN_SANDBOX=true\",\"WRENN_SANDBOX_ID=%s\","
                   "\"WRENN_TEMPLATE_ID=%s\",\"HOME=",
                   c->id, c->template);
  if (c->all->bwrap)
    wrenn_buf_puts(out, "/root\"");
  else
    wrenn_buf_printf(out, "%s/root\"", c->folder);
  wrenn_json_walk(&it, envs);
  while (wrenn_json_next(&it, &name, &value) > 0) {
    wrenn_buf_puts(out, ",\""); /* both are valid JSON text as they stand */
    wrenn_buf_append(out, name.text, name.len);
    wrenn_buf_puts(out, "=");
    wrenn_buf_append(out, value.text, value.len);
    wrenn_buf_puts(out, "\"");
  }
  wrenn_buf_puts(out, "]");
}

static void put_words(const process_plan *plan, wrenn_buf *out) {
  wrenn_buf_puts(out, ",\"cmd\":");
  wrenn_json_put_string(out, plan->cmd, strlen(plan->cmd));
  if (plan->args.type == WRENN_JSON_ARRAY) {
    wrenn_buf_puts(out, ",\"args\":");
    wrenn_buf_append(out, plan->args.text, plan->args.len);
  }
}

bool process_start(capsule *c, const process_plan *plan, process_started *done,
                   void *arg) {
  wrenn_buf order = {0};
  bool sent = false;
  start *s = calloc(1, sizeof(*s));
  if (!s || !c->box)
    goto out;
  s->of = c;
  s->done = done;
  s->arg = arg;
  s->pty = plan->pty;
  s->tag = plan->tag ? strdup(plan->tag) : NULL;
  put_words(plan, &s->words);
  if ((plan->tag && !s->tag) || s->words.oom)
    goto out;
  wrenn_buf_puts(&order, "{\"op\":\"spawn\",\"cwd\":");
  wrenn_json_put_string(&order, *plan->cwd ? plan->cwd : "~",
                        *plan->cwd ? strlen(plan->cwd) : 1);
  put_words(plan, &order);
  put_envs(c, &plan->envs, &order);
  if (plan->pty)
    wrenn_buf_printf(&order, ",\"pty\":{\"cols\":%lld,\"rows\":%lld}",
                     (long long)plan->cols, (long long)plan->rows);
  wrenn_buf_puts(&order, "}");
  sent = sandbox_order(c->box, &order, on_spawned, s);

out:
  wrenn_buf_free(&order);
  if (!sent)
    free_start(s);
  return sent;
}
