#include "proxy/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/fields.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DIGITS "0123456789"
/* The maximum length of the Connection values that are considered. */
#define TOKENS_MAX 1024

bool proxy_name_read(const char *host, proxy_name *name) {
  static const char letters[] = DIGITS "abcdefghijklmnopqrstuvwxyz";
  size_t digits = strspn(host, DIGITS);
  const char *id = host + digits + 1;
  if (digits == 0 || host[digits] != '-' || strncmp(id, "cl-", 3) != 0)
    return false;
  size_t len = 3 + strspn(id + 3, letters);
  if (len == 3 || id[len] != '.')
    return false;
  name->port = digits > 9 ? 999999999 : strtol(host, NULL, 10);
  if (len >= sizeof(name->id))
    len = sizeof(name->id) - 1; /* too long for an id in any case */
  memcpy(name->id, id, len);
  name->id[len] = '\0';
  return true;
}

/* ---- header lines -------------------------------------------------------- */

static bool among(const field *f, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (field_is(f, names[i]))
      return true;
  return false;
}

/* Collects the values of Connection. */
static void read_tokens(const wrenn_buf *fields, wrenn_buf *tokens) {
  size_t at = 0;
  field f;
  while (fields_next(fields, &at, &f))
    if (field_is(&f, "connection") && tokens->len + f.value_len < TOKENS_MAX) {
      wrenn_buf_append(tokens, f.value, f.value_len);
      wrenn_buf_puts(tokens, ",");
    }
}

static bool is_token(const wrenn_buf *tokens, const field *f) {
  static const char separators[] = ", \t";
  for (size_t at = 0; at < tokens->len;) {
    size_t len = 0;
    while (at + len < tokens->len &&
           !strchr(separators, tokens->data[at + len]))
      len++;
    if (len == f->name_len && strncasecmp(tokens->data + at, f->name, len) == 0)
      return true;
    at += len + 1;
  }
  return false;
}

/* Headers that concern one connection only; the framing of the body is set
 * here. */
static const char *const hop_by_hop[] = {"connection",
                                         "keep-alive",
                                         "proxy-connection",
                                         "proxy-authenticate",
                                         "proxy-authorization",
                                         "te",
                                         "trailer",
                                         "transfer-encoding",
                                         "upgrade",
                                         "content-length"};

static bool stays(const field *f, const wrenn_buf *tokens) {
  return among(f, hop_by_hop, COUNT(hop_by_hop)) || is_token(tokens, f);
}

static void put_body(wrenn_buf *out, const proxy_body *body) {
  if (body->chunked)
    wrenn_buf_puts(out, "Transfer-Encoding: chunked\r\n");
  else if (body->length >= 0)
    wrenn_buf_printf(out, "Content-Length: %lld\r\n", (long long)body->length);
}

/* Appends all lines with a name. */
static void put_named(wrenn_buf *out, const wrenn_buf *fields,
                      const char *name) {
  size_t at = 0;
  field f;
  while (fields_next(fields, &at, &f))
    if (field_is(&f, name))
      wrenn_buf_append(out, f.line, f.line_len);
}

/* ---- requests ------------------------------------------------------------ */

static void put_forwarded(wrenn_buf *out, const proxy_request_head *head) {
  size_t at = 0;
  field f;
  wrenn_buf_puts(out, "X-Forwarded-For: ");
  while (fields_next(head->fields, &at, &f))
    if (field_is(&f, "x-forwarded-for") && f.value_len > 0) {
      wrenn_buf_append(out, f.value, f.value_len);
      wrenn_buf_puts(out, ", ");
    }
  wrenn_buf_printf(out, "%s\r\n", head->client);
}

void proxy_put_request(wrenn_buf *out, const proxy_request_head *head) {
  static const char *const ours[] = {"host", "expect", "x-forwarded-for",
                                     "x-api-key"};
  wrenn_buf tokens = {0};
  size_t at = 0;
  field f;
  wrenn_buf_printf(out, "%s %s HTTP/1.1\r\nHost: " PROXY_ADDRESS ":%ld\r\n",
                   head->method, head->target, head->port);
  read_tokens(head->fields, &tokens);
  while (fields_next(head->fields, &at, &f))
    if (!among(&f, ours, COUNT(ours)) && !stays(&f, &tokens))
      wrenn_buf_append(out, f.line, f.line_len);
  wrenn_buf_free(&tokens);
  put_forwarded(out, head);
  put_body(out, &head->body);
  if (head->upgrade) {
    put_named(out, head->fields, "upgrade");
    wrenn_buf_puts(out, "Connection: Upgrade\r\n\r\n");
  } else {
    wrenn_buf_puts(out, "Connection: close\r\n\r\n");
  }
}

/* ---- answers ------------------------------------------------------------- */

/* A redirect to the service's own address is changed to the host name that the
 * client used. */
static void put_location(wrenn_buf *out, const field *f, long port) {
  wrenn_buf own = {0};
  wrenn_buf_printf(&own, "http://" PROXY_ADDRESS ":%ld", port);
  size_t len = own.len;
  bool inner = !own.oom && f->value_len >= len &&
               strncasecmp(f->value, own.data, len) == 0 &&
               (f->value_len == len || strchr("/?#", f->value[len]));
  wrenn_buf_free(&own);
  if (!inner) {
    wrenn_buf_append(out, f->line, f->line_len);
    return;
  }
  wrenn_buf_puts(out, "Location: ");
  if (f->value_len == len || f->value[len] != '/')
    wrenn_buf_puts(out, "/");
  wrenn_buf_append(out, f->value + len, f->value_len - len);
  wrenn_buf_puts(out, "\r\n");
}

void proxy_put_answer(wrenn_buf *out, const proxy_answer_head *head) {
  wrenn_buf tokens = {0};
  size_t at = 0;
  field f;
  wrenn_buf_printf(out, "HTTP/1.1 %d ", head->status);
  wrenn_buf_append(out, head->reason->data, head->reason->len);
  wrenn_buf_puts(out, "\r\n");
  if (head->status == 101) {
    wrenn_buf_append(out, head->fields->data, head->fields->len);
    wrenn_buf_puts(out, "\r\n");
    return;
  }
  read_tokens(head->fields, &tokens);
  while (fields_next(head->fields, &at, &f)) {
    if (stays(&f, &tokens))
      continue;
    if (field_is(&f, "location"))
      put_location(out, &f, head->port);
    else
      wrenn_buf_append(out, f.line, f.line_len);
  }
  wrenn_buf_free(&tokens);
  put_body(out, &head->body);
  if (!head->keep_alive)
    wrenn_buf_puts(out, "Connection: close\r\n");
  wrenn_buf_puts(out, "\r\n");
}
