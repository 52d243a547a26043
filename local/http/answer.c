/* Answers to requests: whole ones, errors, streamed ones. */
#include <stdio.h>
#include <string.h>

#include "http/conn.h"
#include "util/random.h"

/* The answer is complete: continues with the next request, or closes. */
static void answer_done(conn *c) {
  bool keep = c->keep_alive && !c->eof && !c->server->ending;
  request_reset(c);
  if (!keep) {
    conn_finish(c);
    return;
  }
  request_parse(c);
}

const char *conn_request_id(conn *c) {
  if (*c->request_id)
    return c->request_id;
  strcpy(c->request_id, "req_");
  random_hex(c->request_id + 4, sizeof(c->request_id) - 5);
  return c->request_id;
}

static void put_head(conn *c, wrenn_buf *out, int status, const char *type) {
  wrenn_buf_printf(out, "HTTP/1.1 %d %s\r\n", status,
                   parser_status_text(status));
  if (type)
    wrenn_buf_printf(out, "Content-Type: %s\r\n", type);
  if (c->server->tells_ids)
    wrenn_buf_printf(out, "X-Request-ID: %s\r\n", conn_request_id(c));
  if (!c->keep_alive)
    wrenn_buf_puts(out, "Connection: close\r\n");
  else if (c->parser.minor == 0)
    wrenn_buf_puts(out, "Connection: keep-alive\r\n");
}

void conn_reply(conn *c, int status, const char *type, const char *body,
                size_t len) {
  wrenn_buf out = {0};
  if (c->answer != CONN_UNANSWERED || c->stage == CONN_CLOSED)
    return;
  c->answer = CONN_ANSWERED;
  put_head(c, &out, status, type);
  if (status != 204)
    wrenn_buf_printf(&out, "Content-Length: %zu\r\n", len);
  wrenn_buf_puts(&out, "\r\n");
  if (c->parser.method == METHOD_HEAD)
    len = 0;
  if (out.oom) {
    conn_abort(c);
  } else {
    const uv_buf_t parts[2] = {uv_buf_init(out.data, (unsigned)out.len),
                               uv_buf_init((char *)body, (unsigned)len)};
    conn_send_parts(c, parts, len ? 2 : 1);
    if (c->stage != CONN_CLOSED)
      answer_done(c);
  }
  wrenn_buf_free(&out);
}

void conn_reply_json(conn *c, int status, wrenn_buf *json) {
  wrenn_buf_puts(json, "\n");
  if (json->oom)
    conn_abort(c);
  else
    conn_reply(c, status, "application/json", json->data, json->len);
  wrenn_buf_free(json);
}

void conn_stream_begin(conn *c, int status, const char *type, int64_t length) {
  wrenn_buf out = {0};
  bool chunked = length < 0 && c->parser.minor > 0;
  c->answer = chunked ? CONN_CHUNKED : CONN_ANSWERED;
  if (length < 0 && !chunked)
    c->keep_alive = false; /* HTTP/1.0 has only the end of the connection */
  put_head(c, &out, status, type);
  if (chunked)
    wrenn_buf_puts(&out, "Transfer-Encoding: chunked\r\n");
  else if (length >= 0)
    wrenn_buf_printf(&out, "Content-Length: %lld\r\n", (long long)length);
  wrenn_buf_puts(&out, "\r\n");
  if (out.oom)
    conn_abort(c);
  else
    conn_send(c, out.data, out.len);
  wrenn_buf_free(&out);
}

void conn_stream_data(conn *c, const char *data, size_t len) {
  char head[32], tail[] = "\r\n";
  if (len == 0)
    return;
  if (c->answer != CONN_CHUNKED) {
    conn_send(c, data, len);
    return;
  }
  int head_len = snprintf(head, sizeof(head), "%zx\r\n", len);
  const uv_buf_t parts[3] = {uv_buf_init(head, (unsigned)head_len),
                             uv_buf_init((char *)data, (unsigned)len),
                             uv_buf_init(tail, 2)};
  conn_send_parts(c, parts, 3);
}

void conn_stream_end(conn *c) {
  if (c->answer == CONN_CHUNKED)
    conn_send(c, "0\r\n\r\n", 5);
  if (c->stage != CONN_CLOSED)
    answer_done(c);
}
