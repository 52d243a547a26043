/* Handlers: commands in the foreground and in the background, and the list of
 * processes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "util/json_out.h"
#include "util/random.h"

#define DEFAULT_TIMEOUT 30

/* A foreground command. It is referenced by the connection, the order to start
 * it and the timer; the last of them frees it. */
typedef struct exec {
  conn *conn; /* NULL once the request is over */
  session session;
  process_sink sink;
  wrenn_buf out, err;
  char *cmd;
  bool background;
  uint64_t timeout_sec;
  uint64_t begun;
  uv_timer_t timer;
  unsigned refs;
} exec;

static void unref(exec *e) {
  if (--e->refs > 0)
    return;
  wrenn_buf_free(&e->out);
  wrenn_buf_free(&e->err);
  free(e->cmd);
  free(e);
}

static void on_timer_closed(uv_handle_t *handle) { unref(handle->data); }

static void drop_exec(conn *c) {
  exec *e = c->task.state;
  e->conn = NULL;
  process_leave(&e->sink); /* the process goes on */
  session_leave(&e->session);
  uv_close((uv_handle_t *)&e->timer, on_timer_closed);
  unref(e);
}

static void put_output(wrenn_buf *json, const char *name, const wrenn_buf *data,
                       bool as_base64) {
  if (as_base64)
    json_base64(json, name, data->data, data->len);
  else
    json_bytes(json, name, data->data, data->len);
}

static void reply_result(exec *e, int code) {
  wrenn_buf json = {0};
  bool binary = !wrenn_json_utf8(e->out.data, e->out.len) ||
                !wrenn_json_utf8(e->err.data, e->err.len);
  uint64_t took = (uv_hrtime() - e->begun) / 1000000;
  json_object(&json, NULL);
  json_text(&json, "sandbox_id", request_of(e->conn)->capsule->id);
  json_text(&json, "cmd", e->cmd);
  put_output(&json, "stdout", &e->out, binary);
  put_output(&json, "stderr", &e->err, binary);
  json_int(&json, "exit_code", code);
  json_int(&json, "duration_ms", (int64_t)took);
  json_text(&json, "encoding", binary ? "base64" : "utf-8");
  json_object_end(&json);
  conn_reply_json(e->conn, 200, &json);
}

static void on_output(process_sink *sink, process_output which,
                      const char *data, size_t len) {
  exec *e = (exec *)((char *)sink - offsetof(exec, sink));
  wrenn_buf *to = which == PROCESS_STDERR ? &e->err : &e->out;
  wrenn_buf_append(to, data, len);
  if (to->oom ||
      e->out.len + e->err.len > server_of(e->conn)->traits->output_max)
    api_reply_fault(e->conn, FAULT_EXEC, "there is too much output");
}

static void on_exited(process_sink *sink, int code) {
  exec *e = (exec *)((char *)sink - offsetof(exec, sink));
  reply_result(e, code);
}

static void on_deadline(uv_timer_t *timer) {
  exec *e = timer->data;
  if (e->conn)
    api_reply_fault(e->conn, FAULT_TIMEOUT, NULL);
}

static void on_cut(session *s) {
  exec *e = (exec *)((char *)s - offsetof(exec, session));
  if (e->conn)
    api_reply_fault(e->conn, FAULT_EXEC, "the capsule has stopped");
}

static void reply_background(exec *e, const process *p) {
  wrenn_buf json = {0};
  json_object(&json, NULL);
  json_text(&json, "sandbox_id", request_of(e->conn)->capsule->id);
  json_text(&json, "cmd", e->cmd);
  json_int(&json, "pid", p->pid);
  json_text(&json, "tag", p->tag);
  json_object_end(&json);
  conn_reply_json(e->conn, 202, &json);
}

static void on_started(void *arg, process *p, const char *error,
                       const char *text) {
  exec *e = arg;
  if (!e->conn) {
    unref(e);
    return;
  }
  if (error) {
    api_reply_guest(e->conn, e->background ? GUEST_BACKGROUND : GUEST_EXEC,
                    NULL, error, text);
  } else if (e->background) {
    reply_background(e, p);
  } else {
    process_listen(p, &e->sink);
    uv_timer_start(&e->timer, on_deadline, e->timeout_sec * 1000, 0);
  }
  unref(e);
}

static void start_exec(conn *c, api_plan *p, bool background,
                       int64_t timeout_sec) {
  char tag[14];
  exec *e = calloc(1, sizeof(*e));
  if (!e) {
    api_reply_fault(c, FAULT_MEMORY, NULL);
    return;
  }
  if (!background) {
    p->plan.tag = NULL;
  } else if (!p->plan.tag) {
    strcpy(tag, "proc-");
    random_hex(tag + 5, 8);
    p->plan.tag = tag;
  }
  e->conn = c;
  e->cmd = p->cmd;
  p->cmd = NULL;
  e->background = background;
  e->timeout_sec = timeout_sec > 0 ? (uint64_t)timeout_sec : DEFAULT_TIMEOUT;
  e->begun = uv_hrtime();
  e->sink.output = on_output;
  e->sink.exited = on_exited;
  e->session.cut = on_cut;
  e->refs = 3;
  uv_timer_init(c->server->loop, &e->timer);
  e->timer.data = e;
  c->task = (conn_task){.drop = drop_exec, .state = e};
  session_join(request_of(c)->capsule, &e->session);
  if (!process_start(&request_of(c)->capsule->box, &p->plan, on_started, e)) {
    unref(e);
    api_reply_fault(c, FAULT_UNREACHABLE, NULL);
  }
}

/* The capsule is paused without its status saying so, which foreground commands
 * report in their own way. */
static bool reply_away(conn *c) {
  wrenn_json body, value;
  const char *why;
  char text[128];
  bool parsed = wrenn_json_parse(c->body.data, c->body.len, &body, &why);
  if (parsed && wrenn_json_get(&body, "background", &value) &&
      wrenn_json_true(&value))
    return false;
  snprintf(text, sizeof(text), "internal: exec: sandbox not found: %s",
           request_of(c)->capsule->id);
  api_reply_fault(c, FAULT_AGENT, text);
  return true;
}

void handle_command_run(conn *c) {
  wrenn_json body, value;
  api_plan p;
  int64_t timeout_sec = 0;
  if (request_of(c)->capsule->away && reply_away(c))
    return;
  if (!api_running(c, true) || !api_body(c, &body) ||
      !api_number(c, &body, "timeout_sec", &timeout_sec))
    return;
  bool background =
      wrenn_json_get(&body, "background", &value) && wrenn_json_true(&value);
  bool bare = !background && server_of(c)->traits->bare_foreground;
  if (!api_plan_read(&body, bare, &p)) {
    api_reply_fault(c, FAULT_JSON, NULL);
    return;
  }
  capsule_touch(request_of(c)->capsule);
  if (*p.plan.cmd)
    start_exec(c, &p, background, timeout_sec);
  else
    api_reply_fault(c, FAULT_FIELD, "cmd");
  api_plan_free(&p);
}

/* ---- processes ----------------------------------------------------------- */

void handle_process_list(conn *c) {
  wrenn_buf json = {0};
  if (!api_running(c, true))
    return;
  capsule_touch(request_of(c)->capsule);
  json_object(&json, NULL);
  json_array(&json, "processes");
  LIST_EACH (const process, p, &request_of(c)->capsule->box.processes, link)
    process_put(p, &json);
  json_array_end(&json);
  json_object_end(&json);
  conn_reply_json(c, 200, &json);
}

typedef struct killing {
  conn *conn; /* NULL once the request is over */
} killing;

static void drop_killing(conn *c) {
  killing *k = c->task.state;
  k->conn = NULL;
}

static void on_signalled(void *arg, const sandbox_reply *reply) {
  killing *k = arg;
  conn *c = k->conn;
  if (c && reply->error)
    api_reply_guest(c, GUEST_KILL, NULL, reply->error, reply->text);
  else if (c)
    conn_reply(c, 204, NULL, "", 0);
  free(k);
}

static bool wants_sigterm(const conn *c) {
  char signal[16];
  return api_query(c, "signal", signal, sizeof(signal)) &&
         strcmp(signal, "SIGTERM") == 0;
}

void handle_process_kill(conn *c) {
  if (!api_running(c, true))
    return;
  capsule_touch(request_of(c)->capsule);
  process *p =
      process_find(&request_of(c)->capsule->box, request_of(c)->selector);
  if (!p) {
    char text[300];
    process_unknown(request_of(c)->selector, text, sizeof(text));
    api_reply_guest(c, GUEST_KILL, NULL, "not_found", text);
    return;
  }
  killing *k = calloc(1, sizeof(*k));
  if (k) {
    k->conn = c;
    c->task = (conn_task){.drop = drop_killing, .state = k};
  }
  if (!k || !process_signal(p, wants_sigterm(c) ? SIGTERM : SIGKILL,
                            on_signalled, k)) {
    c->task = (conn_task){0};
    free(k);
    api_reply_fault(c, FAULT_UNREACHABLE, NULL);
  }
}
