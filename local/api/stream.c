/* Handlers: WebSockets that stream a command's output. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "http/ws.h"
#include "util/json_out.h"

/* A process is not read while this much waits for a client. */
#define HIGH ((size_t)512 * 1024)

typedef struct stream {
  ws *ws; /* NULL once the client is gone */
  capsule *capsule;
  session session;
  process_sink sink;
  bool begun;   /* the first message has come */
  bool waiting; /* for the process to start */
} stream;

static void free_if_over(stream *s) {
  if (!s->ws && !s->waiting)
    free(s);
}

static wrenn_buf begin_frame(const char *type) {
  wrenn_buf frame = {0};
  json_object(&frame, NULL);
  json_text(&frame, "type", type);
  return frame;
}

static void send_frame(stream *s, wrenn_buf *frame) {
  json_object_end(frame);
  wrenn_buf_puts(frame, "\n");
  if (s->ws && !frame->oom)
    ws_send(s->ws, frame->data, frame->len);
  wrenn_buf_free(frame);
}

static void send_data(stream *s, const char *type, const char *data,
                      size_t len) {
  wrenn_buf frame = begin_frame(type);
  wrenn_buf_reserve(&frame, len + 64);
  if (len > 0)
    json_bytes(&frame, "data", data, len);
  send_frame(s, &frame);
}

/* Sends an error and ends the stream. */
static void fail(stream *s, const char *text) {
  send_data(s, "error", text, strlen(text));
  ws_drop(s->ws);
}

static void on_output(process_sink *sink, process_output which,
                      const char *data, size_t len) {
  stream *s = (stream *)((char *)sink - offsetof(stream, sink));
  if (which == PROCESS_PTY)
    return; /* the output of a terminal is neither stdout nor stderr */
  send_data(s, which == PROCESS_STDOUT ? "stdout" : "stderr", data, len);
  if (ws_unsent(s->ws) > HIGH)
    process_sink_full(sink, true);
}

static void on_exited(process_sink *sink, int code) {
  stream *s = (stream *)((char *)sink - offsetof(stream, sink));
  wrenn_buf frame = begin_frame("exit");
  json_int(&frame, "exit_code", code);
  send_frame(s, &frame);
  ws_drop(s->ws);
}

static void attach(stream *s, process *p) {
  wrenn_buf frame = begin_frame("start");
  json_int(&frame, "pid", p->pid);
  send_frame(s, &frame);
  process_listen(p, &s->sink);
}

static void on_started(void *arg, process *p, const char *error,
                       const char *text) {
  stream *s = arg;
  (void)text;
  s->waiting = false;
  if (s->ws && !error)
    attach(s, p);
  else if (s->ws)
    ws_drop(s->ws); /* the agent hides this failure: no frame at all */
  free_if_over(s);
}

static void start(stream *s, const wrenn_json *message) {
  wrenn_json type;
  api_plan p;
  if (!wrenn_json_get(message, "type", &type) ||
      !wrenn_json_is(&type, "start") || !api_plan_read(message, true, &p)) {
    fail(s, "first message must be type 'start' with a 'cmd' field");
    return;
  }
  if (!*p.plan.cmd) {
    fail(s, "first message must be type 'start' with a 'cmd' field");
  } else {
    capsule_touch(s->capsule);
    s->waiting = true;
    if (!process_start(&s->capsule->box, &p.plan, on_started, s)) {
      s->waiting = false;
      fail(s, "sandbox host is not reachable");
    }
  }
  api_plan_free(&p);
}

static void on_message(void *arg, const char *data, size_t len, bool binary) {
  stream *s = arg;
  wrenn_json message, type;
  const char *why = "not an object";
  (void)binary;
  bool ok = wrenn_json_parse(data, len, &message, &why) &&
            message.type == WRENN_JSON_OBJECT;
  if (!s->begun) {
    s->begun = true;
    if (ok) {
      start(s, &message);
      return;
    }
    wrenn_buf text = {0};
    wrenn_buf_printf(&text, "failed to read start message: %s", why);
    send_data(s, "error", text.data, text.len);
    wrenn_buf_free(&text);
    ws_drop(s->ws);
  } else if (ok && wrenn_json_get(&message, "type", &type) &&
             wrenn_json_is(&type, "stop")) {
    process_leave(&s->sink);
    ws_drop(s->ws);
  }
}

static void on_drained(void *arg) {
  stream *s = arg;
  process_sink_full(&s->sink, false);
}

static void on_lost(void *arg) {
  stream *s = arg;
  process_leave(&s->sink);
  session_leave(&s->session);
  s->ws = NULL;
  free_if_over(s);
}

static void on_cut(session *session) {
  stream *s = (stream *)((char *)session - offsetof(stream, session));
  process_leave(&s->sink);
  if (s->ws)
    ws_drop(s->ws);
}

/* Accepts the upgrade. Problems with the capsule are reported after it. */
static stream *accept_stream(conn *c) {
  stream *s = calloc(1, sizeof(*s));
  if (!s) {
    conn_abort(c);
    return NULL;
  }
  const ws_hooks hooks = {on_message, on_drained, on_lost, s, false, 0};
  s->capsule = request_of(c)->capsule;
  s->sink.output = on_output;
  s->sink.exited = on_exited;
  s->session.cut = on_cut;
  s->ws = ws_accept(c, &hooks);
  if (!s->ws) {
    free(s);
    return NULL;
  }
  if (!s->capsule) {
    fail(s, "sandbox not found");
  } else if (s->capsule->away) {
    char text[128];
    snprintf(text, sizeof(text), "internal: exec stream: sandbox not found: %s",
             s->capsule->id);
    fail(s, text);
  } else if (s->capsule->status != CAPSULE_RUNNING) {
    wrenn_buf text = {0};
    wrenn_buf_printf(&text, "sandbox is not running (status: %s)",
                     capsule_status_name(s->capsule));
    wrenn_buf_append(&text, "", 1);
    fail(s, text.data ? text.data : "");
    wrenn_buf_free(&text);
  } else {
    session_join(s->capsule, &s->session);
    return s;
  }
  s->begun = true; /* no further message is expected */
  return NULL;
}

void handle_command_stream(conn *c) { accept_stream(c); }

void handle_process_stream(conn *c) {
  char *selector = request_of(c)->selector;
  request_of(c)->selector = NULL;
  stream *s = accept_stream(c);
  if (s) {
    process *p = process_find(&s->capsule->box, selector);
    s->begun = true;
    capsule_touch(s->capsule);
    if (p)
      attach(s, p);
    else if (server_of(c)->traits->friendly)
      fail(s, "failed to connect to process: process not found");
    else
      ws_drop(s->ws);
  }
  free(selector);
}
