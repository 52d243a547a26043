#include "conn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define READ_SIZE (64 * 1024)
#define TARGET_MAX 16384
#define HEADER_MAX 16384
#define LINGER_MS 1000

static void parse_input(conn *c);

/* ---- life ---------------------------------------------------------------- */

static void end_task(conn *c) {
  conn_task task = c->task;
  c->task = (conn_task){0};
  if (task.drop) {
    c->task.state = task.state;
    task.drop(c);
    c->task.state = NULL;
  }
}

static void on_closed(uv_handle_t *handle) {
  conn *c = handle->data;
  if (--c->handles > 0)
    return;
  end_task(c);
  if (c->ws)
    ws_lost(c->ws);
  wrenn_buf_free(&c->input);
  wrenn_buf_free(&c->target);
  wrenn_buf_free(&c->name);
  wrenn_buf_free(&c->value);
  wrenn_buf_free(&c->body);
  free(c->selector);
  free(c);
}

void conn_abort(conn *c) {
  if (c->closing)
    return;
  c->closing = true;
  if (c->previous)
    c->previous->next = c->next;
  else
    c->server->conns = c->next;
  if (c->next)
    c->next->previous = c->previous;
  /* Handlers hear of it in on_closed: one of them may be running now. */
  uv_close((uv_handle_t *)&c->tcp, on_closed);
  uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void on_linger(uv_timer_t *timer) { conn_abort(timer->data); }

static void on_shutdown(uv_shutdown_t *request, int status) {
  conn *c = request->data;
  free(request);
  if (status < 0)
    conn_abort(c);
}

/* Closing at once would turn what the client still sends into a reset, which
 * could cost it the last bytes of the answer. */
void conn_finish(conn *c) {
  if (c->closing || uv_is_active((uv_handle_t *)&c->timer))
    return;
  uv_shutdown_t *request = malloc(sizeof(*request));
  if (!request) {
    conn_abort(c);
    return;
  }
  request->data = c;
  if (uv_shutdown(request, (uv_stream_t *)&c->tcp, on_shutdown)) {
    free(request);
    conn_abort(c);
    return;
  }
  uv_timer_start(&c->timer, on_linger, LINGER_MS, 0);
}

/* ---- out ----------------------------------------------------------------- */

typedef struct output {
  uv_write_t write;
  conn *to;
  char data[];
} output;

size_t conn_unsent(const conn *c) {
  return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

static void on_written(uv_write_t *write, int status) {
  output *out = write->data;
  conn *c = out->to;
  free(out);
  c->writes--;
  if (status < 0) {
    conn_abort(c);
    return;
  }
  if (c->closing || c->writes > 0)
    return;
  if (c->ws)
    ws_drained(c->ws);
  else if (c->task.drained)
    c->task.drained(c);
}

void conn_send(conn *c, const char *data, size_t len) {
  uv_stream_t *stream = (uv_stream_t *)&c->tcp;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
  if (c->closing)
    return;
  int sent = c->writes ? 0 : uv_try_write(stream, &buf, 1);
  if (sent == (int)len)
    return;
  size_t done = sent > 0 ? (size_t)sent : 0;
  output *out = malloc(sizeof(*out) + len - done);
  if (!out) {
    conn_abort(c);
    return;
  }
  out->to = c;
  out->write.data = out;
  memcpy(out->data, data + done, len - done);
  buf = uv_buf_init(out->data, (unsigned)(len - done));
  if (uv_write(&out->write, stream, &buf, 1, on_written)) {
    free(out);
    conn_abort(c);
    return;
  }
  c->writes++;
}

/* ---- answers ------------------------------------------------------------- */

static void reset_request(conn *c) {
  end_task(c);
  wrenn_buf_clear(&c->target);
  wrenn_buf_clear(&c->name);
  wrenn_buf_clear(&c->value);
  wrenn_buf_free(&c->body);
  free(c->selector);
  c->selector = NULL;
  c->capsule = NULL;
  c->query = "";
  c->has_key = c->upgrade = c->expects = c->bad_header = c->too_large = false;
  c->content_type[0] = c->ws_key[0] = '\0';
  c->answered = c->chunked = false;
}

/* The answer is complete: on to the next request, or the end. */
static void answer_done(conn *c) {
  bool keep = c->keep_alive && !c->eof && !c->server->ending;
  reset_request(c);
  if (!keep) {
    conn_finish(c);
    return;
  }
  c->busy = false;
  http_parser_pause(&c->parser, 0);
  parse_input(c);
}

static void put_head(const conn *c, wrenn_buf *out, int status,
                     const char *type) {
  wrenn_buf_printf(out, "HTTP/1.1 %d %s\r\n", status,
                   http_status_str((enum http_status)status));
  if (type)
    wrenn_buf_printf(out, "Content-Type: %s\r\n", type);
  if (!c->keep_alive)
    wrenn_buf_puts(out, "Connection: close\r\n");
}

void conn_reply(conn *c, int status, const char *type, const char *body,
                size_t len) {
  wrenn_buf out = {0};
  if (c->answered || c->closing)
    return;
  c->answered = true;
  put_head(c, &out, status, type);
  if (status != 204)
    wrenn_buf_printf(&out, "Content-Length: %zu\r\n", len);
  wrenn_buf_puts(&out, "\r\n");
  if (c->parser.method != HTTP_HEAD)
    wrenn_buf_append(&out, body, len);
  if (out.oom) {
    conn_abort(c);
  } else {
    conn_send(c, out.data, out.len);
    if (!c->closing)
      answer_done(c);
  }
  wrenn_buf_free(&out);
}

void conn_reply_json(conn *c, int status, wrenn_buf *json) {
  if (json->oom)
    conn_abort(c);
  else
    conn_reply(c, status, "application/json", json->data, json->len);
  wrenn_buf_free(json);
}

void conn_reply_error(conn *c, int status, const char *code,
                      const char *format, ...) {
  char message[1500];
  wrenn_buf json = {0};
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof(message), format, args);
  va_end(args);
  wrenn_buf_printf(&json, "{\"error\":{\"code\":\"%s\",\"message\":", code);
  wrenn_json_put_string(&json, message, strlen(message));
  wrenn_buf_puts(&json, "}}\n");
  conn_reply_json(c, status, &json);
}

void conn_stream_begin(conn *c, int status, const char *type, int64_t length) {
  wrenn_buf out = {0};
  c->answered = true;
  c->chunked = length < 0;
  put_head(c, &out, status, type);
  if (c->chunked)
    wrenn_buf_puts(&out, "Transfer-Encoding: chunked\r\n\r\n");
  else
    wrenn_buf_printf(&out, "Content-Length: %lld\r\n\r\n", (long long)length);
  conn_send(c, out.data, out.len);
  wrenn_buf_free(&out);
}

void conn_stream_data(conn *c, const char *data, size_t len) {
  char head[32];
  if (len == 0)
    return;
  if (c->chunked) {
    int head_len = snprintf(head, sizeof(head), "%zx\r\n", len);
    conn_send(c, head, (size_t)head_len);
  }
  conn_send(c, data, len);
  if (c->chunked)
    conn_send(c, "\r\n", 2);
}

void conn_stream_end(conn *c) {
  if (c->chunked)
    conn_send(c, "0\r\n\r\n", 5);
  if (!c->closing)
    answer_done(c);
}

/* ---- in ------------------------------------------------------------------ */

static int on_begin(http_parser *parser) {
  (void)parser;
  return 0;
}

static int on_target(http_parser *parser, const char *at, size_t len) {
  conn *c = parser->data;
  wrenn_buf_append(&c->target, at, len);
  return c->target.oom || c->target.len > TARGET_MAX;
}

static void copy_value(const conn *c, char *to, size_t size) {
  size_t len = c->value.len < size - 1 ? c->value.len : size - 1;
  if (len)
    memcpy(to, c->value.data, len);
  to[len] = '\0';
}

static bool named(const conn *c, const char *name) {
  return c->name.len == strlen(name) &&
         strncasecmp(c->name.data, name, c->name.len) == 0;
}

static void take_header(conn *c) {
  if (named(c, "x-api-key")) {
    copy_value(c, c->key, sizeof(c->key));
    c->has_key = true;
  } else if (named(c, "content-type")) {
    copy_value(c, c->content_type, sizeof(c->content_type));
  } else if (named(c, "sec-websocket-key")) {
    copy_value(c, c->ws_key, sizeof(c->ws_key));
  } else if (named(c, "expect")) {
    c->expects = true;
  }
  wrenn_buf_clear(&c->name);
  wrenn_buf_clear(&c->value);
}

static int on_header_name(http_parser *parser, const char *at, size_t len) {
  conn *c = parser->data;
  if (c->value.len > 0)
    take_header(c);
  wrenn_buf_append(&c->name, at, len);
  return c->name.len > HEADER_MAX;
}

static int on_header_value(http_parser *parser, const char *at, size_t len) {
  conn *c = parser->data;
  wrenn_buf_append(&c->value, at, len);
  return c->value.len > HEADER_MAX;
}

static int on_headers_done(http_parser *parser) {
  conn *c = parser->data;
  take_header(c);
  c->upgrade = parser->upgrade && c->ws_key[0];
  wrenn_buf_append(&c->target, "", 1); /* ends the text */
  c->keep_alive = !parser->upgrade && http_should_keep_alive(parser);
  if (c->expects)
    conn_send(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
  api_begin(c);
  return c->upgrade ? 0 : parser->upgrade ? 2 : 0;
}

static int on_body(http_parser *parser, const char *at, size_t len) {
  conn *c = parser->data;
  if (c->task.data) {
    c->task.data(c, at, len);
  } else if (c->body.len + len > CONN_BODY_MAX) {
    c->too_large = true; /* the rest is read and thrown away */
  } else {
    wrenn_buf_append(&c->body, at, len);
  }
  return c->closing;
}

static int on_complete(http_parser *parser) {
  conn *c = parser->data;
  c->busy = true;
  http_parser_pause(parser, 1);
  return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = on_begin,
    .on_url = on_target,
    .on_header_field = on_header_name,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_done,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

static void reply_malformed(conn *c) {
  c->keep_alive = false;
  conn_reply(c, 400, "text/plain; charset=utf-8", "400 Bad Request", 15);
}

static void set_reading(conn *c);

/* Parses what has been received up to the end of one request. */
static void parse_input(conn *c) {
  while (!c->busy && !c->held && !c->closing && !c->ws && c->input.len > 0) {
    size_t done =
        http_parser_execute(&c->parser, &settings, c->input.data, c->input.len);
    if (c->closing)
      return;
    enum http_errno error = HTTP_PARSER_ERRNO(&c->parser);
    if (error != HPE_OK && error != HPE_PAUSED) {
      c->busy = true;
      reply_malformed(c);
      return;
    }
    wrenn_buf_consume(&c->input, done);
    if (c->busy) {
      api_request(c); /* may answer at once and come back here */
      break;
    }
  }
  if (!c->closing)
    set_reading(c);
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
  conn *c = handle->data;
  (void)hint;
  if (wrenn_buf_reserve(&c->input, READ_SIZE))
    *buf = uv_buf_init(c->input.data + c->input.len, READ_SIZE);
  else
    *buf = uv_buf_init(NULL, 0);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  conn *c = stream->data;
  (void)buf;
  if (len == 0)
    return;
  if (len < 0) {
    c->eof = true;
    if (!c->busy || c->ws || uv_is_active((uv_handle_t *)&c->timer))
      conn_abort(c);
    return;
  }
  if (uv_is_active((uv_handle_t *)&c->timer))
    return; /* finished: what still comes is of no interest */
  c->input.len += (size_t)len;
  if (!c->ws) {
    parse_input(c);
  }
  if (c->ws && !c->closing && c->input.len > 0) {
    wrenn_buf input = c->input;
    c->input = (wrenn_buf){0};
    ws_receive(c->ws, input.data, input.len);
    wrenn_buf_free(&input);
  }
}

void conn_hold(conn *c) {
  c->held = true;
  http_parser_pause(&c->parser, 1);
}

void conn_release(conn *c) {
  c->held = false;
  http_parser_pause(&c->parser, 0);
  parse_input(c);
}

static void set_reading(conn *c) {
  if ((c->busy || c->held) && !c->ws)
    uv_read_stop((uv_stream_t *)&c->tcp);
  else
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

/* ---- server -------------------------------------------------------------- */

static void on_connection(uv_stream_t *listener, int status) {
  server *s = listener->data;
  conn *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;
  if (!c)
    return;
  c->server = s;
  c->query = "";
  uv_tcp_init(s->loop, &c->tcp);
  uv_timer_init(s->loop, &c->timer);
  c->tcp.data = c->timer.data = c;
  c->handles = 2;
  c->next = s->conns;
  if (c->next)
    c->next->previous = c;
  s->conns = c;
  if (uv_accept(listener, (uv_stream_t *)&c->tcp)) {
    conn_abort(c);
    return;
  }
  uv_tcp_nodelay(&c->tcp, 1);
  http_parser_init(&c->parser, HTTP_REQUEST);
  c->parser.data = c;
  set_reading(c);
}

int server_start(server *s, const char *address, int port) {
  struct sockaddr_storage where;
  int size = sizeof(where), rc;
  rc = uv_ip4_addr(address, port, (struct sockaddr_in *)&where);
  if (rc)
    rc = uv_ip6_addr(address, port, (struct sockaddr_in6 *)&where);
  if (rc)
    return rc;
  uv_tcp_init(s->loop, &s->listener);
  s->listener.data = s;
  rc = uv_tcp_bind(&s->listener, (struct sockaddr *)&where, 0);
  if (!rc)
    rc = uv_listen((uv_stream_t *)&s->listener, 1024, on_connection);
  if (!rc)
    rc = uv_tcp_getsockname(&s->listener, (struct sockaddr *)&where, &size);
  if (rc)
    return rc;
  return ntohs(where.ss_family == AF_INET6
                   ? ((struct sockaddr_in6 *)&where)->sin6_port
                   : ((struct sockaddr_in *)&where)->sin_port);
}

void server_end(server *s) {
  s->ending = true;
  uv_close((uv_handle_t *)&s->listener, NULL);
  while (s->conns)
    conn_abort(s->conns);
}
