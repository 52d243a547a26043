/* libFuzzer target: what the local server reads of HTTP, requests or the
 * answers of a service, and what its proxy passes on of them. The same bytes in
 * one piece and in several have to come to the same, and no key may pass. */
#include "http/fields.h"
#include "http/parser.h"
#include "http/route.h"
#include "proxy/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok) {
  if (!ok)
    abort();
}

typedef struct seen {
  parser *parser;
  size_t heads, ends;
  bool tunnel; /* what follows the head is not HTTP */
  wrenn_buf heads_text, body;
} seen;

static void walk_route(const char *target) {
  static const char *const patterns[] = {
      "/", "/v1/capsules", "/v1/capsules/:", "/v1/capsules/:/processes/:",
      "/v1/capsules/:/files/stream/read"};
  size_t len = strlen(target);
  for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
    route_value values[ROUTE_VALUES] = {{NULL, 0}, {NULL, 0}};
    if (!route_match(patterns[i], target, values))
      continue;
    for (size_t k = 0; k < ROUTE_VALUES && values[k].text; k++) {
      require(values[k].text >= target && values[k].len > 0 &&
              values[k].text + values[k].len <= target + len);
      char *decoded = route_decode(&values[k]);
      char *taken = route_take(target, &values[k]);
      require(!decoded || strlen(decoded) <= values[k].len);
      require(!taken || strlen(taken) <= values[k].len);
      free(decoded);
      free(taken);
    }
  }
  route_value query = {target, len};
  free(route_decode_query(&query));
}

/* Every line is one: a name, a value without a line break, and its end. */
static void walk_fields(const wrenn_buf *fields) {
  size_t at = 0, lines = 0;
  field f;
  while (fields_next(fields, &at, &f)) {
    require(f.name >= fields->data && f.line_len >= 4 &&
            f.value + f.value_len + 2 <= fields->data + fields->len);
    require(!memchr(f.value, '\n', f.value_len));
    lines++;
  }
  require(at == fields->len && lines <= fields->len / 4);
}

static void pass_on(seen *s, wrenn_buf *fields) {
  parser *p = s->parser;
  wrenn_buf out = {0};
  proxy_body body = {p->chunked, p->length};
  if (p->answers) {
    proxy_put_answer(&out, &(proxy_answer_head){.status = (int)p->status,
                                                .reason = &p->text,
                                                .fields = fields,
                                                .port = 80,
                                                .body = body,
                                                .keep_alive = p->keep_alive});
  } else {
    char host[256];
    proxy_name name;
    fields_text(fields, "Host", host, sizeof(host));
    if (proxy_name_read(host, &name))
      require(name.port >= 0 && strlen(name.id) < sizeof(name.id));
    wrenn_buf_append(&p->text, "", 1);
    p->text.len--;
    walk_route(p->text.data);
    proxy_put_request(&out, &(proxy_request_head){.method = p->method_name,
                                                  .target = p->text.data,
                                                  .fields = fields,
                                                  .client = "127.0.0.1",
                                                  .port = 80,
                                                  .upgrade = p->upgrade,
                                                  .body = body});
    /* The head is one, and the key is not in it. */
    for (size_t i = 0; i + 11 < out.len; i++)
      require(out.data[i] != '\n' ||
              strncasecmp(out.data + i + 1, "x-api-key:", 10) != 0);
  }
  require(out.oom ||
          (out.len > 4 && !memcmp(out.data + out.len - 4, "\r\n\r\n", 4)));
  wrenn_buf_append(&s->heads_text, out.data, out.len);
  wrenn_buf_free(&out);
}

static parser_next on_head(void *arg) {
  seen *s = arg;
  s->heads++;
  walk_fields(&s->parser->fields);
  pass_on(s, &s->parser->fields);
  if (s->parser->upgrade && s->heads % 2)
    parser_refuse_upgrade(s->parser);
  else if (s->parser->upgrade) {
    s->tunnel = true;
    return PARSER_TUNNEL;
  }
  return PARSER_BODY;
}

static bool on_body(void *arg, const char *data, size_t len) {
  seen *s = arg;
  wrenn_buf_append(&s->body, data, len);
  return true;
}

static void on_complete(void *arg) {
  seen *s = arg;
  s->ends++;
  require(s->ends <= s->heads);
}

static parser_result read_all(const uint8_t *data, size_t size, size_t step,
                              bool answers, seen *s) {
  static const parser_hooks hooks = {NULL, on_head, on_body, on_complete};
  parser p;
  parser_result result = PARSER_OK;
  memset(s, 0, sizeof(*s));
  s->parser = &p;
  require(parser_init(&p, answers, &hooks, s));
  for (size_t at = 0; at < size && result == PARSER_OK; at += step) {
    size_t len = size - at < step ? size - at : step, done = 0;
    char *piece = malloc(len); /* so that reading past it shows */
    require(piece != NULL);
    memcpy(piece, data + at, len);
    result = parser_feed(&p, piece, len, &done);
    require(done <= len);
    free(piece);
    if (s->tunnel)
      break;
    require(result != PARSER_OK || done == len);
  }
  parser_free(&p);
  s->parser = NULL;
  return result;
}

static bool same(const wrenn_buf *a, const wrenn_buf *b) {
  return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

static void forget(seen *s) {
  wrenn_buf_free(&s->heads_text);
  wrenn_buf_free(&s->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  seen whole, pieces;
  if (size < 2)
    return 0;
  bool answers = data[0] & 1;
  size_t step = (size_t)(data[0] >> 1) % 16 + 1;
  data++;
  size--;
  parser_result a = read_all(data, size, size, answers, &whole);
  parser_result b = read_all(data, size, step, answers, &pieces);
  require(a == b);
  require(whole.heads == pieces.heads && whole.ends == pieces.ends);
  require(same(&whole.heads_text, &pieces.heads_text));
  require(same(&whole.body, &pieces.body));
  forget(&whole);
  forget(&pieces);
  return 0;
}
