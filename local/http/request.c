/* Requests, as http-parser finds them in what has been received. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "http/conn.h"

#define READ_SIZE ((size_t)64 * 1024)
#define TARGET_MAX ((size_t)16 * 1024)
#define HEADER_MAX ((size_t)16 * 1024)

static void end_task(conn *c) {
  conn_task task = c->task;
  c->task = (conn_task){0};
  if (task.drop) {
    c->task.state = task.state;
    task.drop(c);
    c->task.state = NULL;
  }
}

void request_reset(conn *c) {
  end_task(c);
  if (!c->finished)
    uv_timer_stop(&c->timer);
  c->owes = OWES_NOTHING;
  c->served = true;
  c->begun = c->headed = false;
  wrenn_buf_clear(&c->target);
  wrenn_buf_clear(&c->name);
  wrenn_buf_clear(&c->value);
  wrenn_buf_clear(&c->fields);
  wrenn_buf_free(&c->body);
  c->server->hooks.forget(c);
  memset(c->context, 0, c->server->context_size);
  c->query = "";
  c->in_value = c->has_key = c->has_token = c->expects = c->wants_websocket =
      false;
  c->ws_version_ok = c->upgrade = c->refused = c->overdue = false;
  c->raw = false;
  c->too_large = c->held = c->answered = c->chunked = c->wants_turn = false;
  c->watched = false;
  c->request_id[0] = c->key[0] = c->content_type[0] = c->ws_key[0] = '\0';
  c->ws_extensions[0] = c->host[0] = '\0';
}

/* ---- the head ------------------------------------------------------------ */

static int on_begin(http_parser *parser) {
  conn *c = parser->data;
  c->begun = true;
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

static bool value_is(const conn *c, const char *value) {
  return c->value.len == strlen(value) &&
         strncasecmp(c->value.data, value, c->value.len) == 0;
}

static void take_header(conn *c) {
  if (named(c, "x-api-key")) {
    copy_value(c, c->key, sizeof(c->key));
    c->has_key = c->value.len > 0;
  } else if (named(c, "authorization")) {
    c->has_token =
        c->value.len > 7 && !strncasecmp(c->value.data, "Bearer ", 7);
  } else if (named(c, "content-type")) {
    copy_value(c, c->content_type, sizeof(c->content_type));
  } else if (named(c, "upgrade")) {
    c->wants_websocket = value_is(c, "websocket");
  } else if (named(c, "sec-websocket-key")) {
    copy_value(c, c->ws_key, sizeof(c->ws_key));
  } else if (named(c, "sec-websocket-extensions")) {
    copy_value(c, c->ws_extensions, sizeof(c->ws_extensions));
  } else if (named(c, "sec-websocket-version")) {
    c->ws_version_ok = value_is(c, "13");
  } else if (named(c, "expect")) {
    c->expects = value_is(c, "100-continue");
  } else if (named(c, "host")) {
    copy_value(c, c->host, sizeof(c->host));
  }
  wrenn_buf_append(&c->fields, c->name.data, c->name.len);
  wrenn_buf_puts(&c->fields, ": ");
  wrenn_buf_append(&c->fields, c->value.data, c->value.len);
  wrenn_buf_puts(&c->fields, "\r\n");
  c->in_value = false;
  wrenn_buf_clear(&c->name);
  wrenn_buf_clear(&c->value);
}

static int on_header_name(http_parser *parser, const char *at, size_t len) {
  conn *c = parser->data;
  if (c->in_value)
    take_header(c);
  wrenn_buf_append(&c->name, at, len);
  /* A blank in a name hides it from who looks for that name. */
  return c->name.oom || c->name.len > HEADER_MAX || memchr(at, ' ', len) ||
         memchr(at, '\t', len);
}

static int on_header_value(http_parser *parser, const char *at, size_t len) {
  conn *c = parser->data;
  c->in_value = true;
  wrenn_buf_append(&c->value, at, len);
  return c->value.oom || c->value.len > HEADER_MAX;
}

/* The handshake's key is 16 bytes in base64. */
static bool websocket_key_ok(const conn *c) {
  char bytes[WRENN_BASE64_DECODED(sizeof(c->ws_key))];
  size_t len;
  return wrenn_base64_decode(c->ws_key, strlen(c->ws_key), bytes, &len) &&
         len == 16;
}

/* Of a target such as http://host/path, as one sends it to a proxy. */
static void strip_host(conn *c) {
  if (strncasecmp(c->target.data, "http://", 7) != 0)
    return;
  size_t host = strcspn(c->target.data + 7, "/");
  wrenn_buf_consume(&c->target, 7 + host);
  if (c->target.len == 1) { /* its NUL */
    wrenn_buf_clear(&c->target);
    wrenn_buf_append(&c->target, "/", 2);
  }
}

static bool has_body(const http_parser *parser) {
  return parser->flags & F_CHUNKED ||
         (parser->content_length > 0 && parser->content_length != ULLONG_MAX);
}

static int on_headers_done(http_parser *parser) {
  conn *c = parser->data;
  bool tunnel = parser->method == HTTP_CONNECT;
  c->headed = true;
  if (c->in_value)
    take_header(c);
  wrenn_buf_append(&c->target, "", 1); /* ends the text */
  if (c->target.oom)
    return 1;
  strip_host(c);
  c->upgrade = parser->upgrade && parser->method == HTTP_GET &&
               c->wants_websocket && c->ws_version_ok && websocket_key_ok(c);
  if (!c->upgrade && !tunnel && !c->server->hooks.tunnels(c))
    parser->upgrade = 0; /* to something else: no, thank you */
  const char *query = strchr(c->target.data, '?');
  c->query = query ? query + 1 : "";
  c->keep_alive = !parser->upgrade && http_should_keep_alive(parser);
  c->server->hooks.begin(c);
  if (c->refused && has_body(parser)) {
    c->overdue = true; /* so that the body need not be sent at all */
    http_parser_pause(parser, 1);
  } else if (c->expects && parser->http_minor > 0) {
    conn_send(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
  }
  return tunnel ? 2 : 0;
}

/* ---- the body ------------------------------------------------------------ */

static int on_body(http_parser *parser, const char *at, size_t len) {
  conn *c = parser->data;
  if (c->task.data && !c->refused) {
    c->task.data(c, at, len);
  } else if (c->refused || c->body.len + len > CONN_BODY_MAX) {
    c->too_large = !c->refused;
    c->refused = c->overdue = true;
    http_parser_pause(parser, 1);
    wrenn_buf_free(&c->body);
  } else if (parser->method != HTTP_GET) { /* whose body says nothing */
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

static void reply_malformed(conn *c, enum http_errno error) {
  static const char text[] = "400 Bad Request";
  static const char large[] = "431 Request Header Fields Too Large";
  c->keep_alive = false;
  if (error == HPE_HEADER_OVERFLOW)
    conn_reply(c, 431, "text/plain; charset=utf-8", large, sizeof(large) - 1);
  else
    conn_reply(c, 400, "text/plain; charset=utf-8", text, sizeof(text) - 1);
}

/* With a body on its way that nobody takes, the answer is the end. */
static void answer_early(conn *c) {
  c->busy = true;
  c->keep_alive = false;
  c->server->hooks.request(c);
}

/* One step: parses up to the end of one request, or of the input. */
static void parse_some(conn *c) {
  http_parser_pause(&c->parser, 0);
  size_t done =
      http_parser_execute(&c->parser, &settings, c->input.data, c->input.len);
  enum http_errno error = HTTP_PARSER_ERRNO(&c->parser);
  if (c->closing)
    return;
  if (error != HPE_OK && error != HPE_PAUSED) {
    c->busy = true;
    reply_malformed(c, error);
    return;
  }
  wrenn_buf_consume(&c->input, done);
  if (c->overdue)
    answer_early(c);
  else if (c->busy)
    c->server->hooks.request(c);
}

static void on_late(uv_timer_t *timer) { conn_finish(timer->data); }

/* Gives the client a limit for what it owes. Nothing else has one: commands,
 * streams and bodies that are wanted take as long as they take. */
static void mind_time(conn *c) {
  int owes = OWES_REQUEST;
  if (c->finished)
    return; /* its timer has another use */
  if (c->busy || c->held || c->ws || c->raw || c->headed)
    owes = OWES_NOTHING;
  else if (c->begun || !c->served)
    owes = OWES_HEAD;
  if (owes == (int)c->owes)
    return;
  c->owes = owes;
  if (owes == OWES_NOTHING)
    uv_timer_stop(&c->timer);
  else
    uv_timer_start(&c->timer, on_late,
                   owes == OWES_HEAD ? c->server->head_ms : c->server->kept_ms,
                   0);
}

/* An answer that is given at once ends up here again: the loop goes on then,
 * not the stack. */
void request_parse(conn *c) {
  if (c->parsing)
    return;
  c->parsing = true;
  if (c->headed && c->refused && !c->busy && has_body(&c->parser))
    answer_early(c); /* refused in the meantime */
  while (!c->busy && !c->held && !c->closing && !c->finished && !c->ws &&
         !c->raw && !conn_clogged(c) && c->input.len > 0)
    parse_some(c);
  c->parsing = false;
  if (c->closing)
    return;
  mind_time(c);
  request_read(c);
}

/* ---- reading ------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
  conn *c = handle->data;
  (void)hint;
  if (wrenn_buf_reserve(&c->input, READ_SIZE))
    *buf = uv_buf_init(c->input.data + c->input.len, READ_SIZE);
  else
    *buf = uv_buf_init(NULL, 0);
}

void request_pass(conn *c) {
  if ((!c->ws && !c->raw) || c->closing || c->input.len == 0)
    return;
  wrenn_buf input = c->input;
  c->input = (wrenn_buf){0};
  if (c->ws)
    ws_receive(c->ws, input.data, input.len);
  else
    c->task.data(c, input.data, input.len);
  wrenn_buf_free(&input);
  if (!c->closing)
    request_read(c);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  conn *c = stream->data;
  (void)buf;
  if (len == 0)
    return;
  if (len < 0) {
    c->eof = true;
    /* A finished one may still have something to send: on_shutdown knows. */
    if (!c->finished || !uv_is_writable(stream))
      conn_abort(c);
    else
      uv_read_stop(stream);
    return;
  }
  if (c->finished)
    return; /* what still comes is of no interest */
  c->input.len += (size_t)len;
  if (!c->ws && !c->raw)
    request_parse(c);
  request_pass(c);
}

/* A request that is being worked on stops the reading, but for what needs to
 * know that its client is still there. */
static bool wants_input(const conn *c) {
  if (c->finished)
    return true;
  if (c->held)
    return false;
  if (c->ws || !c->busy)
    return !conn_clogged(c);
  return c->raw || (c->watched && c->input.len < READ_SIZE);
}

void request_read(conn *c) {
  if (!wants_input(c))
    uv_read_stop((uv_stream_t *)&c->tcp);
  else
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

void request_init(conn *c) {
  http_parser_init(&c->parser, HTTP_REQUEST);
  c->parser.data = c;
  c->query = "";
  request_parse(c);
}

void conn_watch(conn *c) {
  c->watched = true;
  request_read(c);
}

void conn_hold(conn *c) {
  c->held = true;
  http_parser_pause(&c->parser, 1);
}

void conn_release(conn *c) {
  c->held = false;
  request_parse(c);
}
