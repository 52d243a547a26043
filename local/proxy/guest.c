/* The port proxy: the connection to the service, and its answer. */
#include "proxy/proxy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE ((size_t)64 * 1024)
#define LINGER_MS 2000

/* ---- the end ------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle) { proxy_unref(handle->data); }

static void close_handles(proxy *p) {
  if (!uv_is_closing((uv_handle_t *)&p->guest))
    uv_close((uv_handle_t *)&p->guest, on_handle_closed);
  if (!uv_is_closing((uv_handle_t *)&p->timer))
    uv_close((uv_handle_t *)&p->timer, on_handle_closed);
}

static void on_overdue(uv_timer_t *timer) { close_handles(timer->data); }

static void on_shutdown(uv_shutdown_t *request, int status) {
  proxy *p = request->data;
  (void)status;
  free(request);
  close_handles(p);
}

void proxy_leave(proxy *p) {
  uv_stream_t *guest = (uv_stream_t *)&p->guest;
  p->leaving = true;
  uv_shutdown_t *request = p->out.writes ? malloc(sizeof(*request)) : NULL;
  uv_read_stop(guest);
  if (request) {
    request->data = p;
    if (uv_shutdown(request, guest, on_shutdown) == 0) {
      uv_timer_start(&p->timer, on_overdue, LINGER_MS, 0);
      return;
    }
    free(request);
  }
  close_handles(p);
}

/* ---- to the service ------------------------------------------------------ */

static void guest_lost(proxy *p, ssize_t error) {
  proxy_fail(p, error == UV_ECONNREFUSED ? PROXY_REFUSED : PROXY_BROKEN);
}

static void on_written(void *arg, int status) {
  proxy *p = arg;
  conn *c = p->client;
  if (!c || p->leaving)
    return;
  /* A failed write does not matter if the service answers anyway; reading will
   * show it. */
  if (status == 0 && p->out.writes > 0)
    return;
  if (c->reading == CONN_HELD)
    conn_release(c);
}

static void send_parts(proxy *p, const uv_buf_t *parts, unsigned count) {
  outlet_send(&p->out, parts, count);
  if (uv_stream_get_write_queue_size(p->out.to) > PROXY_HIGH)
    conn_hold(p->client);
}

void proxy_body_data(conn *c, const char *data, size_t len) {
  proxy *p = c->task.state;
  char head[32], tail[] = "\r\n";
  uv_buf_t piece = uv_buf_init((char *)data, (unsigned)len);
  if (len == 0)
    return;
  if (p->tunnel || !(c->parser.chunked)) {
    capsule_touch(p->capsule);
    send_parts(p, &piece, 1);
    return;
  }
  int head_len = snprintf(head, sizeof(head), "%zx\r\n", len);
  const uv_buf_t parts[3] = {uv_buf_init(head, (unsigned)head_len), piece,
                             uv_buf_init(tail, 2)};
  send_parts(p, parts, 3);
}

void proxy_body_end(proxy *p) {
  char end[] = "0\r\n\r\n";
  const uv_buf_t part = uv_buf_init(end, 5);
  if (p->client->parser.chunked)
    outlet_send(&p->out, &part, 1);
  conn_watch(p->client);
}

/* ---- the answer ---------------------------------------------------------- */

static bool has_no_body(const proxy *p) {
  unsigned status = p->parser.status;
  return p->client->parser.method == METHOD_HEAD || status == 101 ||
         status == 204 || status == 304;
}

/* Tells the client where the answer ends. */
static proxy_body frame_answer(const proxy *p) {
  proxy_body body = {.length = -1};
  conn *c = p->client;
  bool known = p->parser.length >= 0 && !p->parser.chunked;
  if (known)
    body.length = p->parser.length;
  if (known || has_no_body(p))
    return body;
  body.chunked = c->parser.minor > 0;
  if (!body.chunked)
    c->keep_alive = false;
  return body;
}

static parser_next on_head(void *arg) {
  proxy *p = arg;
  conn *c = p->client;
  wrenn_buf head = {0};
  bool switches = p->parser.status == 101;
  if (p->parser.status < 200 && !switches)
    return PARSER_BODY; /* more is needed */
  if (switches && !(p->parser.upgrade && c->parser.upgrade))
    return PARSER_BROKEN; /* the client has not asked for it */
  if (c->stage != CONN_REQUEST || c->parser.minor == 0)
    c->keep_alive = false; /* the request itself is not complete */
  const proxy_body body = frame_answer(p);
  const proxy_answer_head answer = {.status = (int)p->parser.status,
                                    .reason = &p->parser.text,
                                    .fields = &p->parser.fields,
                                    .port = p->port,
                                    .body = body,
                                    .keep_alive = c->keep_alive};
  proxy_put_answer(&head, &answer);
  if (head.oom) {
    wrenn_buf_free(&head);
    return PARSER_BROKEN;
  }
  p->begun = true;
  c->answer = body.chunked ? CONN_CHUNKED : CONN_ANSWERED;
  p->tunnel = switches;
  conn_send(c, head.data, head.len);
  wrenn_buf_free(&head);
  return has_no_body(p) ? PARSER_NO_BODY : PARSER_BODY;
}

static bool on_body(void *arg, const char *data, size_t len) {
  proxy *p = arg;
  conn_stream_data(p->client, data, len);
  return p->client->stage != CONN_CLOSED;
}

static void on_complete(void *arg) {
  proxy *p = arg;
  if (!p->begun)
    return; /* of a 100 */
  p->complete = true;
  parser_pause(&p->parser);
}

static const parser_hooks answer_hooks = {NULL, on_head, on_body, on_complete};

static void begin_tunnel(proxy *p, const char *data, size_t len) {
  conn *c = p->client;
  p->complete = false;
  if (c->stage < CONN_FINISHED)
    c->stage = CONN_TUNNEL;
  if (len > 0)
    conn_send(c, data, len);
  if (c->stage != CONN_CLOSED)
    request_read(c);
  request_pass(c); /* data that the client sent before the 101 */
}

/* Handles received data; length 0 means the end. */
static void take_answer(proxy *p, const char *data, size_t len) {
  conn *c = p->client;
  if (p->tunnel) {
    if (len > 0)
      conn_send(c, data, len);
    else
      conn_finish(c);
    return;
  }
  size_t done;
  parser_result result = parser_feed(&p->parser, data, len, &done);
  if (c->stage == CONN_CLOSED)
    return;
  if (p->tunnel)
    begin_tunnel(p, data + done, len - done);
  else if (p->complete)
    conn_stream_end(c);
  else if (len == 0 || result != PARSER_OK)
    guest_lost(p, UV_EOF);
}

/* ---- from the service ---------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
  (void)handle;
  (void)hint;
  buf->base = malloc(READ_SIZE);
  buf->len = buf->base ? READ_SIZE : 0;
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  proxy *p = stream->data;
  if (len != 0 && p->client && !p->leaving) {
    if (len < 0)
      uv_read_stop(stream);
    if (len < 0 && len != UV_EOF)
      guest_lost(p, len);
    else
      take_answer(p, buf->base, len > 0 ? (size_t)len : 0);
    if (p->client && !p->leaving && p->client->stage != CONN_CLOSED &&
        len > 0 && conn_unsent(p->client) > PROXY_HIGH) {
      p->paused = true;
      uv_read_stop(stream);
    }
  }
  free(buf->base);
}

void proxy_client_drained(conn *c) {
  proxy *p = c->task.state;
  if (!p->paused || p->leaving)
    return;
  p->paused = false;
  uv_read_start((uv_stream_t *)&p->guest, on_alloc, on_read);
}

/* ---- the beginning ------------------------------------------------------- */

static void client_address(const conn *c, char *text, size_t size) {
  struct sockaddr_storage where = {0};
  int len = sizeof(where);
  if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&where, &len) ||
      uv_ip_name((struct sockaddr *)&where, text, size))
    snprintf(text, size, "unknown");
}

static void send_head(proxy *p) {
  conn *c = p->client;
  char client[64];
  wrenn_buf text = {0};
  client_address(c, client, sizeof(client));
  const proxy_request_head head = {
      .method = c->parser.method_name,
      .target = c->target,
      .fields = &c->parser.fields,
      .client = client,
      .port = p->port,
      .upgrade = c->parser.upgrade,
      .body = {.chunked = c->parser.chunked, .length = c->parser.length}};
  proxy_put_request(&text, &head);
  uv_buf_t part = uv_buf_init(text.data, (unsigned)text.len);
  if (text.oom || c->parser.fields.oom || outlet_send(&p->out, &part, 1))
    proxy_fail(p, PROXY_BROKEN);
  wrenn_buf_free(&text);
}

/* A program in a capsule may have taken over its agent: what comes from there
 * must be a descriptor that the loop can wait for. */
static bool is_stream(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
         type == SOCK_STREAM;
}

void proxy_connect(proxy *p, int fd) {
  conn *c = p->client;
  uv_pipe_init(c->server->loop, &p->guest, 0);
  p->guest.data = p;
  p->refs++;
  p->connected = true;
  p->out =
      (outlet){.to = (uv_stream_t *)&p->guest, .written = on_written, .arg = p};
  if (!is_stream(fd) || uv_pipe_open(&p->guest, fd)) {
    if (fd >= 0)
      close(fd);
    proxy_fail(p, PROXY_REFUSED);
    return;
  }
  if (parser_init(&p->parser, true, &answer_hooks, p))
    send_head(p);
  else
    proxy_fail(p, PROXY_MEMORY);
  if (p->fault)
    return;
  uv_read_start((uv_stream_t *)&p->guest, on_alloc, on_read);
  conn_release(c);
}
