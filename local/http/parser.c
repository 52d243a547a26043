/*
 * The only file that uses http-parser. That library is no longer maintained,
 * but Debian 12 and 13 and Ubuntu have no package of its successor, llhttp. To
 * use another parser, change only this file.
 */
#include "http/parser.h"

#include <http_parser.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define TARGET_MAX ((size_t)16 * 1024)
#define FIELD_MAX ((size_t)16 * 1024)

struct parser_state {
  http_parser http;
};

void parser_clear(parser *p) {
  wrenn_buf_free(&p->text);
  wrenn_buf_free(&p->fields);
  wrenn_buf_free(&p->name);
  wrenn_buf_free(&p->value);
  p->in_value = p->headed = false;
}

static int on_begin(http_parser *http) {
  parser *p = http->data;
  parser_clear(p);
  if (p->hooks->begun)
    p->hooks->begun(p->arg);
  return 0;
}

static int on_text(http_parser *http, const char *at, size_t len) {
  parser *p = http->data;
  wrenn_buf_append(&p->text, at, len);
  return p->text.oom || (!p->answers && p->text.len > TARGET_MAX);
}

static void end_field(parser *p) {
  wrenn_buf_append(&p->fields, p->name.data, p->name.len);
  wrenn_buf_puts(&p->fields, ": ");
  wrenn_buf_append(&p->fields, p->value.data, p->value.len);
  wrenn_buf_puts(&p->fields, "\r\n");
  wrenn_buf_clear(&p->name);
  wrenn_buf_clear(&p->value);
  p->in_value = false;
}

static int on_name(http_parser *http, const char *at, size_t len) {
  parser *p = http->data;
  if (p->headed)
    return 0; /* a trailer changes nothing */
  if (p->in_value)
    end_field(p);
  wrenn_buf_append(&p->name, at, len);
  if (p->answers)
    return p->name.oom;
  /* A name that contains a blank would not be found by its name. */
  return p->name.oom || p->name.len > FIELD_MAX || memchr(at, ' ', len) ||
         memchr(at, '\t', len);
}

static int on_value(http_parser *http, const char *at, size_t len) {
  parser *p = http->data;
  if (p->headed)
    return 0;
  p->in_value = true;
  wrenn_buf_append(&p->value, at, len);
  return p->value.oom || (!p->answers && p->value.len > FIELD_MAX);
}

static method method_of(const http_parser *http) {
  switch (http->method) {
  case HTTP_CONNECT:
    return METHOD_CONNECT;
  case HTTP_DELETE:
    return METHOD_DELETE;
  case HTTP_GET:
    return METHOD_GET;
  case HTTP_HEAD:
    return METHOD_HEAD;
  case HTTP_PATCH:
    return METHOD_PATCH;
  case HTTP_POST:
    return METHOD_POST;
  case HTTP_PUT:
    return METHOD_PUT;
  default:
    return METHOD_OTHER;
  }
}

static int on_head(http_parser *http) {
  parser *p = http->data;
  if (p->in_value)
    end_field(p);
  if (p->fields.oom)
    return -1;
  p->headed = true;
  if (!p->answers) {
    p->method = method_of(http);
    p->method_name = http_method_str((enum http_method)http->method);
  }
  p->status = http->status_code;
  p->minor = http->http_minor;
  p->chunked = http->flags & F_CHUNKED;
  p->length = http->flags & F_CONTENTLENGTH && http->content_length <= INT64_MAX
                  ? (int64_t)http->content_length
                  : -1;
  p->upgrade = http->upgrade;
  p->keep_alive = http_should_keep_alive(http);
  switch (p->hooks->head(p->arg)) {
  case PARSER_BODY:
    return 0;
  case PARSER_NO_BODY:
    return 1;
  case PARSER_TUNNEL:
    return 2;
  default:
    return -1;
  }
}

static int on_body(http_parser *http, const char *at, size_t len) {
  parser *p = http->data;
  return !p->hooks->body(p->arg, at, len);
}

static int on_complete(http_parser *http) {
  parser *p = http->data;
  p->hooks->complete(p->arg);
  return 0;
}

bool parser_init(parser *p, bool answers, const parser_hooks *hooks,
                 void *arg) {
  *p = (parser){.answers = answers, .hooks = hooks, .arg = arg, .length = -1};
  p->state = calloc(1, sizeof(*p->state));
  if (!p->state)
    return false;
  http_parser_init(&p->state->http, answers ? HTTP_RESPONSE : HTTP_REQUEST);
  p->state->http.data = p;
  return true;
}

void parser_free(parser *p) {
  parser_clear(p);
  free(p->state);
  p->state = NULL;
}

parser_result parser_feed(parser *p, const char *data, size_t len,
                          size_t *done) {
  static const http_parser_settings settings = {
      .on_message_begin = on_begin,
      .on_url = on_text,
      .on_status = on_text,
      .on_header_field = on_name,
      .on_header_value = on_value,
      .on_headers_complete = on_head,
      .on_body = on_body,
      .on_message_complete = on_complete,
  };
  http_parser *http = &p->state->http;
  if (HTTP_PARSER_ERRNO(http) == HPE_PAUSED)
    http_parser_pause(http, 0);
  *done = http_parser_execute(http, &settings, data, len);
  switch (HTTP_PARSER_ERRNO(http)) {
  case HPE_OK:
  case HPE_PAUSED:
    return PARSER_OK;
  case HPE_HEADER_OVERFLOW:
    return PARSER_HEAD_TOO_LARGE;
  default:
    return PARSER_MALFORMED;
  }
}

/* A failed parser cannot be paused, and need not be. */
void parser_pause(parser *p) {
  http_parser *http = &p->state->http;
  if (HTTP_PARSER_ERRNO(http) == HPE_OK)
    http_parser_pause(http, 1);
}

void parser_refuse_upgrade(parser *p) {
  p->upgrade = false;
  p->state->http.upgrade = 0;
}

size_t parser_memory(const parser *p) {
  return p->text.cap + p->fields.cap + p->name.cap + p->value.cap;
}

bool parser_has_body(const parser *p) { return p->chunked || p->length > 0; }

const char *parser_status_text(int status) {
  return http_status_str((enum http_status)status);
}
