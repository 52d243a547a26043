/* Handler: terminals. Data is base64 in JSON up to generation 0.2, and binary
 * messages later. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/pty.h"
#include "base64.h"
#include "box/accounts.h"
#include "util/json_out.h"
#include "util/random.h"

#define HIGH ((size_t)512 * 1024)

static wrenn_buf begin_frame(const char *type) {
  wrenn_buf frame = {0};
  json_object(&frame, NULL);
  json_text(&frame, "type", type);
  return frame;
}

static void send_frame(terminal *t, wrenn_buf *frame) {
  json_object_end(frame);
  wrenn_buf_puts(frame, "\n");
  if (t->ws && !frame->oom)
    ws_send(t->ws, frame->data, frame->len);
  wrenn_buf_free(frame);
}

/* An error that ends the session. */
static void fail(terminal *t, const char *text) {
  wrenn_buf frame = begin_frame("error");
  json_text(&frame, "data", text);
  json_bool(&frame, "fatal", true);
  send_frame(t, &frame);
  if (t->ws)
    ws_drop(t->ws);
}

/* The same where the real server is silent. */
static void refuse(terminal *t, const char *text) {
  if (t->traits->friendly)
    fail(t, text);
  else if (t->ws)
    ws_drop(t->ws);
}

static void on_ping_due(uv_timer_t *timer) {
  wrenn_buf frame = begin_frame("ping");
  send_frame(timer->data, &frame);
}

static void begin_pings(terminal *t) {
  uv_timer_start(&t->pinger, on_ping_due, t->ping_ms, t->ping_ms);
}

static void hear(terminal *t) {
  if (!t->hears)
    begin_pings(t);
  t->hears = true;
}

static void send_base64(terminal *t, const char *data, size_t len) {
  wrenn_buf frame = begin_frame("output");
  json_base64(&frame, "data", data, len);
  send_frame(t, &frame);
}

static void on_output(process_sink *sink, process_output which,
                      const char *data, size_t len) {
  terminal *t = (terminal *)((char *)sink - offsetof(terminal, sink));
  (void)which;
  if (!t->ws)
    return;
  hear(t);
  if (t->traits->binary_pty)
    ws_send_binary(t->ws, data, len);
  else
    send_base64(t, data, len);
  if (ws_unsent(t->ws) > HIGH)
    process_sink_full(sink, true);
}

/* The socket may stay open after the exit frame, until the client closes it. */
static void on_exited(process_sink *sink, int code) {
  terminal *t = (terminal *)((char *)sink - offsetof(terminal, sink));
  wrenn_buf frame = begin_frame("exit");
  json_int(&frame, "exit_code", code);
  send_frame(t, &frame);
  uv_timer_stop(&t->pinger);
  if (t->ws && t->traits->drops_pty)
    ws_drop(t->ws);
}

static void on_started(void *arg, process *p, const char *error,
                       const char *text) {
  terminal *t = arg;
  char message[1200];
  t->busy = false;
  if (t->ws && error) {
    snprintf(message, sizeof(message), "failed to start pty: %s", text);
    refuse(t, message);
  } else if (t->ws) {
    wrenn_buf frame = begin_frame("started");
    json_text(&frame, "tag", p->tag);
    json_int(&frame, "pid", p->pid);
    send_frame(t, &frame);
    begin_pings(t);
    process_listen(p, &t->sink);
    terminal_work(t);
  } else {
    terminal_end_input(t, p);
  }
  terminal_unref(t);
}

static void read_size(const wrenn_json *message, const char *name,
                      int64_t *size) {
  wrenn_json value;
  int64_t number;
  if (wrenn_json_get(message, name, &value) &&
      wrenn_json_int(&value, &number) && number > 0 && number <= 65535)
    *size = number;
}

/* NULL for the default user; returns false if the user does not exist. */
static bool read_user(const terminal *t, const wrenn_json *message,
                      const account **user) {
  wrenn_json value;
  char name[64];
  *user = NULL;
  if (!t->traits->checks_user || !wrenn_json_get(message, "user", &value) ||
      value.type == WRENN_JSON_NULL || wrenn_json_is(&value, ""))
    return true;
  if (value.type != WRENN_JSON_STRING || value.len >= sizeof(name))
    return false;
  name[wrenn_json_decode(&value, name)] = '\0';
  *user = account_find(name);
  return *user && account_exists(t->capsule->all->site.user, name);
}

static void start(terminal *t, const wrenn_json *message) {
  api_plan p;
  char tag[] = "pty-01234567";
  const account *user;
  if (!read_user(t, message, &user)) {
    refuse(t, "failed to start pty: there is no such user");
    return;
  }
  if (!api_plan_read(message, false, &p)) {
    fail(t, "failed to read first message: a field has a wrong type");
    return;
  }
  random_hex(tag + strlen("pty-"), 8);
  p.plan.tag = tag;
  p.plan.user = user;
  p.plan.pty = true;
  p.plan.cols = 80;
  p.plan.rows = 24;
  read_size(message, "cols", &p.plan.cols);
  read_size(message, "rows", &p.plan.rows);
  if (!*p.plan.cmd)
    p.plan.cmd = t->traits->pty_cmd;
  t->refs++;
  t->hears = t->busy = true;
  if (!process_start(&t->capsule->box, &p.plan, on_started, t)) {
    t->busy = false;
    fail(t, "sandbox host is not reachable");
    terminal_unref(t);
  }
  api_plan_free(&p);
}

/* A client that connects to a terminal is ignored until the program prints
 * something. Early generations leave a client with an unknown tag connected in
 * silence. */
static void connect_to(terminal *t, const wrenn_json *message) {
  wrenn_json value;
  process *p = NULL;
  if (!wrenn_json_get(message, "tag", &value) ||
      value.type != WRENN_JSON_STRING || value.len == 0) {
    fail(t, "connect requires a 'tag' field");
    return;
  }
  char *tag = malloc(value.len + 1);
  if (tag) {
    tag[wrenn_json_decode(&value, tag)] = '\0';
    p = process_find_tag(&t->capsule->box, tag);
  }
  free(tag);
  if (p) {
    if (t->traits->friendly)
      hear(t);
    process_listen(p, &t->sink);
  } else if (t->traits->friendly || t->traits->drops_pty) {
    refuse(t, "failed to connect to pty: there is none with this tag");
  }
}

static void type_base64(terminal *t, const wrenn_json *message) {
  wrenn_json data;
  size_t len;
  if (!wrenn_json_get(message, "data", &data) ||
      data.type != WRENN_JSON_STRING || data.len == 0)
    return;
  char *bytes = malloc(data.len);
  if (!bytes)
    return;
  size_t text_len = wrenn_json_decode(&data, bytes);
  /* Invalid base64 is dropped silently. */
  if (wrenn_base64_decode(bytes, text_len, bytes, &len))
    terminal_type(t, bytes, len);
  free(bytes);
}

static void control(terminal *t, const wrenn_json *message) {
  wrenn_json type;
  int64_t cols = 0, rows = 0;
  if (!wrenn_json_get(message, "type", &type))
    return;
  if (wrenn_json_is(&type, "input")) {
    if (!t->traits->binary_pty)
      type_base64(t, message);
  } else if (wrenn_json_is(&type, "resize")) {
    read_size(message, "cols", &cols);
    read_size(message, "rows", &rows);
    if (cols && rows)
      terminal_resize(t, cols, rows);
  } else if (wrenn_json_is(&type, "kill")) {
    terminal_kill(t);
  }
}

static void first_message(terminal *t, const wrenn_json *message, bool ok,
                          const char *why) {
  wrenn_json type = {.type = WRENN_JSON_NULL};
  char text[256];
  t->begun = true;
  if (!ok) {
    snprintf(text, sizeof(text), "failed to read first message: %s", why);
    fail(t, text);
    return;
  }
  wrenn_json_get(message, "type", &type);
  if (wrenn_json_is(&type, "start"))
    start(t, message);
  else if (wrenn_json_is(&type, "connect"))
    connect_to(t, message);
  else
    fail(t, "first message must be type 'start' or 'connect'");
}

/* Handles a message after the first. Invalid messages are dropped. */
static void take(terminal *t, const char *data, size_t len, bool binary) {
  wrenn_json message;
  const char *why;
  if (binary && t->traits->binary_pty)
    terminal_type(t, data, len);
  else if (!binary && wrenn_json_parse(data, len, &message, &why))
    control(t, &message);
}

static void on_message(void *arg, const char *data, size_t len, bool binary) {
  terminal *t = arg;
  wrenn_json message;
  const char *why = "not an object";
  capsule_touch(t->capsule);
  if (!t->begun) {
    bool ok = !binary && wrenn_json_parse(data, len, &message, &why) &&
              message.type == WRENN_JSON_OBJECT;
    first_message(t, &message, ok, why);
  } else if (t->hears) {
    take(t, data, len, binary);
  }
}

static void on_drained(void *arg) {
  terminal *t = arg;
  process_sink_full(&t->sink, false);
}

static void on_pinger_closed(uv_handle_t *handle) {
  terminal_unref(handle->data);
}

static void on_lost(void *arg) {
  terminal *t = arg;
  if (t->sink.of)
    terminal_end_input(t, t->sink.of);
  process_leave(&t->sink);
  session_leave(&t->session);
  t->ws = NULL;
  uv_close((uv_handle_t *)&t->pinger, on_pinger_closed);
  terminal_unref(t);
}

static void on_cut(session *session) {
  terminal *t = (terminal *)((char *)session - offsetof(terminal, session));
  process_leave(&t->sink);
  if (t->ws)
    ws_drop(t->ws);
}

void handle_terminal_open(conn *c) {
  char text[128];
  terminal *t = calloc(1, sizeof(*t));
  if (!t) {
    conn_abort(c);
    return;
  }
  const ws_hooks hooks = {
      on_message, on_drained, on_lost, t, server_of(c)->traits->deflates_pty,
      0};
  t->traits = server_of(c)->traits;
  t->ping_ms = server_of(c)->pty_ping_ms;
  t->capsule = request_of(c)->capsule;
  t->sink.output = on_output;
  t->sink.exited = on_exited;
  t->session.cut = on_cut;
  t->refs = 2;
  t->ws = ws_accept(c, &hooks);
  if (!t->ws) {
    free(t);
    return;
  }
  uv_timer_init(c->server->loop, &t->pinger);
  t->pinger.data = t;
  if (!t->capsule) {
    fail(t, "sandbox not found");
  } else if (t->capsule->away) {
    snprintf(text, sizeof(text), "internal: pty attach: sandbox not found: %s",
             t->capsule->id);
    fail(t, text);
  } else if (t->capsule->status != CAPSULE_RUNNING) {
    snprintf(text, sizeof(text), "sandbox is not running (status: %s)",
             capsule_status_name(t->capsule));
    fail(t, text);
  } else {
    session_join(t->capsule, &t->session);
  }
}
