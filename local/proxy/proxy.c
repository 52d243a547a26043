/* The port proxy: requests, from their head to the service's socket. */
#include "proxy/proxy.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "box/jupyter.h"
#include "util/json_out.h"

#define DIALS 3
#define FIRST_PAUSE_MS 100 /* doubled for the next dial */

static bool read_name(const conn *c, proxy_name *name) {
  char host[128];
  conn_header(c, "host", host, sizeof(host));
  return proxy_name_read(host, name);
}

bool proxy_wants(const conn *c) {
  proxy_name name;
  return read_name(c, &name);
}

/* ---- faults -------------------------------------------------------------- */

typedef struct wording {
  int status;
  const char *text; /* up to generation 0.2.2 */
  const char *code, *message;
} wording;

static const wording wordings[] = {
    [PROXY_PORT] = {400, "invalid port", "invalid_request", "Invalid port."},
    [PROXY_ID] = {400, "invalid sandbox ID", "invalid_request",
                  "Invalid sandbox ID."},
    [PROXY_UNKNOWN] = {404, "sandbox not found", "sandbox_not_found",
                       "Sandbox not found."},
    [PROXY_NOT_RUNNING] = {409, NULL, "sandbox_not_running",
                           "Sandbox is not running."},
    [PROXY_CUT] = {503, "sandbox is not available", "service_unavailable",
                   "Sandbox is not available."},
    [PROXY_REFUSED] = {502, NULL, "sandbox_unresponsive",
                       "Nothing listens on this port of the sandbox."},
    [PROXY_BROKEN] = {502, "proxy error: the service gave no HTTP answer",
                      "sandbox_unresponsive",
                      "The service gave no HTTP answer."},
    [PROXY_MEMORY] = {500, "out of memory", "internal_error", "Out of memory."},
};

static void reply_text(conn *c, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void reply_text(conn *c, int status, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  int len = vsnprintf(text, sizeof(text) - 1, format, args);
  va_end(args);
  if (len < 0 || (size_t)len >= sizeof(text) - 1)
    len = (int)sizeof(text) - 2;
  text[len++] = '\n';
  conn_reply(c, status, "text/plain; charset=utf-8", text, (size_t)len);
}

static void reply_fault(proxy *p) {
  conn *c = p->client;
  const wording *w = &wordings[p->fault];
  bool typed = server_of(c)->traits->typed_errors;
  if (typed && p->fault == PROXY_NOT_RUNNING)
    api_reply_fault(c, FAULT_NOT_RUNNING, capsule_status_name(p->capsule));
  else if (typed)
    api_reply_error(c, w->status, w->code, "%s", w->message);
  else if (p->fault == PROXY_NOT_RUNNING)
    reply_text(c, w->status, "sandbox is not running (status: %s)",
               capsule_status_name(p->capsule));
  else if (p->fault == PROXY_REFUSED)
    reply_text(c, w->status,
               "proxy error: dial tcp " PROXY_ADDRESS
               ":%ld: connect: connection refused",
               p->port);
  else
    reply_text(c, w->status, "%s", w->text);
}

void proxy_fail(proxy *p, proxy_fault fault) {
  conn *c = p->client;
  if (!c || p->fault)
    return;
  p->fault = fault;
  if (p->tunnel) {
    conn_finish(c);
  } else if (p->begun) {
    conn_abort(c); /* an incomplete answer must not look complete */
  } else if (c->stage == CONN_REQUEST) {
    reply_fault(p);
  } else if (p->connected) {
    c->keep_alive = false; /* the body is incomplete, so the connection ends */
    reply_fault(p);
  } else {
    conn_refuse(c); /* answered when the request is complete */
    conn_release(c);
  }
}

/* ---- life ---------------------------------------------------------------- */

void proxy_unref(proxy *p) {
  if (--p->refs > 0)
    return;
  parser_free(&p->parser);
  free(p);
}

static void on_timer_closed(uv_handle_t *handle) { proxy_unref(handle->data); }

static void drop(conn *c) {
  proxy *p = c->task.state;
  p->client = NULL;
  session_leave(&p->session);
  if (p->connected)
    proxy_leave(p);
  else
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
  proxy_unref(p);
}

static void on_cut(session *s) {
  proxy_fail((proxy *)((char *)s - offsetof(proxy, session)), PROXY_CUT);
}

/* ---- dialling ------------------------------------------------------------ */

static void dial(proxy *p);

static void on_next_dial(uv_timer_t *timer) { dial(timer->data); }

static void on_dialled(void *arg, const sandbox_reply *reply) {
  proxy *p = arg;
  if (p->client && !reply->error)
    proxy_connect(p, sandbox_take_fd(reply));
  else if (p->client && strcmp(reply->error, "gone") == 0)
    proxy_fail(p, PROXY_CUT);
  else if (p->client && p->dials == DIALS)
    proxy_fail(p, PROXY_REFUSED);
  else if (p->client)
    uv_timer_start(&p->timer, on_next_dial,
                   (uint64_t)FIRST_PAUSE_MS << (p->dials - 1), 0);
  proxy_unref(p);
}

static void dial(proxy *p) {
  char socket[JUPYTER_SOCKET_MAX];
  wrenn_buf order = {0};
  json_text(&order, "op", "dial");
  json_int(&order, "port", p->port);
  if (jupyter_socket(&p->capsule->box, p->port, socket))
    json_text(&order, "socket", socket);
  p->dials++;
  p->refs++;
  if (!box_order(&p->capsule->box, &order, on_dialled, p)) {
    p->refs--;
    proxy_fail(p, PROXY_CUT);
  }
  wrenn_buf_free(&order);
}

/* ---- requests ------------------------------------------------------------ */

static proxy_fault check(proxy *p, const proxy_name *name) {
  capsules *all = &server_of(p->client)->capsules;
  if (name->port < 1 || name->port > 65535)
    return PROXY_PORT;
  if (!capsule_id_ok(name->id))
    return PROXY_ID;
  p->port = name->port;
  p->capsule = capsule_find(all, name->id);
  if (!p->capsule)
    return PROXY_UNKNOWN;
  if (p->capsule->away)
    return PROXY_CUT;
  return p->capsule->status == CAPSULE_RUNNING ? PROXY_OK : PROXY_NOT_RUNNING;
}

static void begin(conn *c) {
  proxy_name name;
  proxy *p = calloc(1, sizeof(*p));
  if (!p || !read_name(c, &name)) {
    free(p);
    conn_refuse(c);
    return;
  }
  p->client = c;
  p->refs = 2; /* the client and the timer */
  uv_timer_init(c->server->loop, &p->timer);
  p->timer.data = p;
  p->session.cut = on_cut;
  c->task = (conn_task){.data = proxy_body_data,
                        .drained = proxy_client_drained,
                        .drop = drop,
                        .state = p};
  proxy_fault fault = check(p, &name);
  if (fault) {
    proxy_fail(p, fault);
    return;
  }
  capsule_touch(p->capsule);
  session_join(p->capsule, &p->session);
  conn_hold(c); /* until the service is connected */
  dial(p);
}

void proxy_begin(conn *c) {
  if (!proxy_wants(c))
    api_begin(c);
  else if (!api_crowded(c))
    begin(c);
}

void proxy_request(conn *c) {
  proxy *p = c->task.state;
  if (!proxy_wants(c))
    api_request(c);
  else if (request_of(c)->crowded)
    api_reply_crowded(c);
  else if (!p)
    reply_text(c, 500, "out of memory");
  else if (p->fault)
    reply_fault(p);
  else
    proxy_body_end(p);
}
