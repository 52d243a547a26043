/* Finds requests in the received data. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "http/conn.h"
#include "http/fields.h"

/* The handshake's key is 16 bytes in base64. */
#define KEY_SIZE 64

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
  if (c->stage < CONN_FINISHED) {
    uv_timer_stop(&c->timer);
    c->stage = CONN_KEPT;
  }
  c->owes = OWES_NOTHING;
  c->server->hooks.forget(c);
  memset(c->context, 0, c->server->context_size);
  parser_clear(&c->parser);
  wrenn_buf_free(&c->body);
  c->target = c->query = "";
  c->upgrade = c->wants_turn = false;
  c->reading = CONN_READS;
  c->verdict = CONN_TAKEN;
  c->answer = CONN_UNANSWERED;
  c->request_id[0] = '\0';
}

/* ---- the head ------------------------------------------------------------ */

static void on_begun(void *arg) {
  conn *c = arg;
  c->stage = CONN_HEAD;
}

void conn_header(const conn *c, const char *name, char *value, size_t size) {
  fields_text(&c->parser.fields, name, value, size);
}

static bool header_is(const conn *c, const char *name, const char *value) {
  field f;
  return fields_find(&c->parser.fields, name, &f) && field_says(&f, value);
}

static bool websocket_key_ok(const conn *c) {
  char key[KEY_SIZE], bytes[WRENN_BASE64_DECODED(sizeof(key))];
  size_t len;
  conn_header(c, "sec-websocket-key", key, sizeof(key));
  return wrenn_base64_decode(key, strlen(key), bytes, &len) && len == 16;
}

static bool wants_websocket(const conn *c) {
  return c->parser.upgrade && c->parser.method == METHOD_GET &&
         header_is(c, "upgrade", "websocket") &&
         header_is(c, "sec-websocket-version", "13") && websocket_key_ok(c);
}

/* Terminates the target, and removes the host from one such as
 * http://host/path, which is sent to proxies. */
static bool take_target(conn *c) {
  wrenn_buf *text = &c->parser.text;
  wrenn_buf_append(text, "", 1);
  if (!text->oom && strncasecmp(text->data, "http://", 7) == 0) {
    wrenn_buf_consume(text, 7 + strcspn(text->data + 7, "/"));
    if (text->len == 1) { /* its NUL */
      wrenn_buf_clear(text);
      wrenn_buf_append(text, "/", 2);
    }
  }
  if (text->oom)
    return false;
  const char *query = strchr(text->data, '?');
  c->target = text->data;
  c->query = query ? query + 1 : "";
  return true;
}

/* Whether the request was refused before its body was read. */
static bool is_refused_early(const conn *c) {
  return c->stage == CONN_BODY && c->verdict != CONN_TAKEN &&
         parser_has_body(&c->parser);
}

static parser_next on_head(void *arg) {
  conn *c = arg;
  bool tunnel = c->parser.method == METHOD_CONNECT;
  c->stage = CONN_BODY;
  if (!take_target(c))
    return PARSER_BROKEN;
  c->upgrade = wants_websocket(c);
  if (!c->upgrade && !tunnel && !c->server->hooks.tunnels(c))
    parser_refuse_upgrade(&c->parser); /* only WebSockets are offered */
  c->keep_alive = !c->parser.upgrade && c->parser.keep_alive;
  c->server->hooks.begin(c);
  if (is_refused_early(c))
    parser_pause(&c->parser);
  else if (c->parser.minor > 0 && header_is(c, "expect", "100-continue"))
    conn_send(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
  return tunnel ? PARSER_TUNNEL : PARSER_BODY;
}

void conn_refuse(conn *c) { c->verdict = CONN_REFUSED; }

/* ---- the body ------------------------------------------------------------ */

static bool on_body(void *arg, const char *data, size_t len) {
  conn *c = arg;
  if (c->verdict == CONN_TAKEN && c->task.data) {
    c->task.data(c, data, len);
  } else if (c->verdict != CONN_TAKEN || c->body.len + len > CONN_BODY_MAX) {
    if (c->verdict == CONN_TAKEN)
      c->verdict = CONN_TOO_LARGE;
    parser_pause(&c->parser);
    wrenn_buf_free(&c->body);
  } else if (c->parser.method !=
             METHOD_GET) { /* the body of a GET means nothing */
    wrenn_buf_append(&c->body, data, len);
  }
  return c->stage != CONN_CLOSED;
}

static void on_complete(void *arg) {
  conn *c = arg;
  if (c->stage == CONN_BODY)
    c->stage = CONN_REQUEST;
  parser_pause(&c->parser);
}

bool request_init(conn *c) {
  static const parser_hooks hooks = {on_begun, on_head, on_body, on_complete};
  c->target = c->query = "";
  return parser_init(&c->parser, false, &hooks, c);
}

static void reply_malformed(conn *c, parser_result why) {
  static const char text[] = "400 Bad Request";
  static const char large[] = "431 Request Header Fields Too Large";
  c->stage = CONN_REQUEST;
  c->keep_alive = false;
  if (why == PARSER_HEAD_TOO_LARGE)
    conn_reply(c, 431, "text/plain; charset=utf-8", large, sizeof(large) - 1);
  else
    conn_reply(c, 400, "text/plain; charset=utf-8", text, sizeof(text) - 1);
}

/* The body will not be read, so the connection ends after the answer. */
static void answer_early(conn *c) {
  c->stage = CONN_REQUEST;
  c->keep_alive = false;
  c->server->hooks.request(c);
}

/* Parses up to the end of one request, or of the input. */
static void parse_some(conn *c) {
  size_t done;
  parser_result result =
      parser_feed(&c->parser, c->input.data, c->input.len, &done);
  if (c->stage == CONN_CLOSED)
    return;
  if (result != PARSER_OK) {
    reply_malformed(c, result);
    return;
  }
  wrenn_buf_consume(&c->input, done);
  if (is_refused_early(c))
    answer_early(c);
  else if (c->stage == CONN_REQUEST)
    c->server->hooks.request(c);
}

static void on_late(uv_timer_t *timer) { conn_finish(timer->data); }

/* Whether a body is on its way into memory. */
static bool is_collected(const conn *c) {
  return c->stage == CONN_BODY && c->verdict == CONN_TAKEN && !c->task.data &&
         c->reading != CONN_HELD;
}

/* Limits the time for what the client owes. Nothing else is limited: commands,
 * streams and uploads take as long as they need. */
static void mind_time(conn *c) {
  int owes = OWES_NOTHING;
  if (c->stage >= CONN_FINISHED)
    return; /* its timer is used for the end */
  if (c->stage == CONN_NEW || c->stage == CONN_HEAD)
    owes = OWES_HEAD;
  else if (is_collected(c))
    owes = OWES_BODY;
  else if (c->stage == CONN_KEPT)
    owes = OWES_REQUEST;
  /* The body of a GET means nothing: it gets no second time. */
  if (owes == (int)c->owes &&
      (owes != OWES_BODY || c->parser.method == METHOD_GET))
    return;
  c->owes = owes;
  c->owes_since = uv_now(c->server->loop);
  if (owes == OWES_NOTHING)
    uv_timer_stop(&c->timer);
  else
    uv_timer_start(
        &c->timer, on_late,
        owes == OWES_REQUEST ? c->server->kept_ms : c->server->head_ms, 0);
}

/* An answer that is sent at once calls this again: the loop continues instead
 * of recursing. */
void request_parse(conn *c) {
  if (c->parsing)
    return;
  c->parsing = true;
  if (is_refused_early(c))
    answer_early(c); /* it has been refused meanwhile */
  while (c->stage < CONN_REQUEST && c->reading != CONN_HELD &&
         !conn_clogged(c) && c->input.len > 0)
    parse_some(c);
  c->parsing = false;
  if (c->stage == CONN_CLOSED)
    return;
  if (c->input.len == 0)
    wrenn_buf_free(&c->input);
  mind_time(c);
  doors_count_head(c);
  request_read(c);
}

/* ---- reading ------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
  const conn *c = handle->data;
  (void)hint;
  *buf = uv_buf_init(c->server->scratch, CONN_READ_SIZE);
}

void request_pass(conn *c) {
  bool websocket = c->stage == CONN_WEBSOCKET;
  if ((!websocket && c->stage != CONN_TUNNEL) || c->input.len == 0)
    return;
  wrenn_buf input = c->input;
  c->input = (wrenn_buf){0};
  if (websocket)
    ws_receive(c->ws, input.data, input.len);
  else
    c->task.data(c, input.data, input.len);
  wrenn_buf_free(&input);
  if (c->stage != CONN_CLOSED)
    request_read(c);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
  conn *c = stream->data;
  if (len == 0)
    return;
  if (len < 0) {
    c->eof = true;
    /* A finished connection may still be sending; on_shutdown ends it. */
    if (c->stage != CONN_FINISHED || !uv_is_writable(stream))
      conn_abort(c);
    else
      uv_read_stop(stream);
    return;
  }
  if (c->stage >= CONN_FINISHED)
    return; /* discarded */
  wrenn_buf_append(&c->input, buf->base, (size_t)len);
  if (c->input.oom) {
    conn_abort(c);
    return;
  }
  if (c->stage < CONN_WEBSOCKET)
    request_parse(c);
  request_pass(c);
}

/* The connection is not read while a request is answered, unless it is watched.
 */
static bool wants_input(const conn *c) {
  if (c->stage == CONN_FINISHED)
    return true;
  if (c->reading == CONN_HELD)
    return false;
  if (c->stage == CONN_REQUEST)
    return c->reading == CONN_WATCHED && c->input.len < CONN_READ_SIZE;
  return c->stage == CONN_TUNNEL || !conn_clogged(c);
}

void request_read(conn *c) {
  if (!wants_input(c))
    uv_read_stop((uv_stream_t *)&c->tcp);
  else
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

void conn_watch(conn *c) {
  c->reading = CONN_WATCHED;
  request_read(c);
}

void conn_hold(conn *c) {
  c->reading = CONN_HELD;
  parser_pause(&c->parser);
}

void conn_release(conn *c) {
  c->reading = CONN_READS;
  request_parse(c);
}
