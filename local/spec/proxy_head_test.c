/* Host names of ports, and the heads that the port proxy passes on. */
#include "proxy/head.h"

#include <string.h>

#include "check.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define ID "cl-0123456789abcdefghijklmno"

static void names(void) {
  static const struct {
    const char *host;
    long port; /* -1: no name of a port */
    const char *id;
  } rows[] = {
      {"8888-" ID ".localhost", 8888, ID},
      {"8888-" ID ".localhost:40213", 8888, ID},
      {"1-cl-x.a.b.c", 1, "cl-x"},
      {"0-cl-x.", 0, "cl-x"},
      {"70000-cl-x.h", 70000, "cl-x"},
      {"99999999999999999999-cl-x.h", 999999999, "cl-x"},
      {"8888-" ID, -1, NULL},
      {"8888-cl-.h", -1, NULL},
      {"8888-cl-X.h", -1, NULL},
      {"8888-cl-x-y.h", -1, NULL},
      {"8888-sb-x.h", -1, NULL},
      {"-cl-x.h", -1, NULL},
      {"+1-cl-x.h", -1, NULL},
      {" 1-cl-x.h", -1, NULL},
      {"a8888-cl-x.h", -1, NULL},
      {"127.0.0.1:80", -1, NULL},
      {"", -1, NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    proxy_name name;
    bool ok = proxy_name_read(rows[i].host, &name);
    CHECK_ROW(rows[i].host, ok == (rows[i].port >= 0));
    if (!ok || rows[i].port < 0)
      continue;
    CHECK_ROW(rows[i].host, name.port == rows[i].port);
    CHECK_ROW(rows[i].host, strcmp(name.id, rows[i].id) == 0);
  }
}

static void long_ids_are_cut(void) {
  char host[256] = "80-cl-";
  proxy_name name;
  memset(host + 6, 'x', 200);
  memcpy(host + 206, ".h", 3);
  CHECK(proxy_name_read(host, &name));
  CHECK(strlen(name.id) == sizeof(name.id) - 1);
}

static bool is(const wrenn_buf *text, const char *want) {
  return text->len == strlen(want) && memcmp(text->data, want, text->len) == 0;
}

/* The head that comes of header lines; compared, and freed. */
static bool request_is(proxy_request_head head, const char *lines,
                       const char *want) {
  wrenn_buf fields = {0}, out = {0};
  wrenn_buf_puts(&fields, lines);
  head.fields = &fields;
  head.client = "10.0.0.9";
  head.port = 3000;
  proxy_put_request(&out, &head);
  bool ok = is(&out, want);
  if (!ok)
    printf("%.*s", (int)out.len, out.data);
  wrenn_buf_free(&fields);
  wrenn_buf_free(&out);
  return ok;
}

static void requests(void) {
  const proxy_request_head get = {
      .method = "GET", .target = "/a?b=%20", .body = {.length = -1}};
  CHECK(request_is(get, "",
                   "GET /a?b=%20 HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n"
                   "X-Forwarded-For: 10.0.0.9\r\nConnection: close\r\n\r\n"));
  CHECK(request_is(get,
                   "Host: 3000-cl-x.h\r\nx-api-key: secret\r\nAccept: a\r\n"
                   "X-Forwarded-For: 1.2.3.4\r\nExpect: 100-continue\r\n",
                   "GET /a?b=%20 HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n"
                   "Accept: a\r\nX-Forwarded-For: 1.2.3.4, 10.0.0.9\r\n"
                   "Connection: close\r\n\r\n"));
  CHECK(request_is(get,
                   "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Hop2: 2\r\n"
                   "Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\n"
                   "Proxy-Authorization: x\r\nEmpty: \r\n",
                   "GET /a?b=%20 HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n"
                   "X-Hop2: 2\r\nEmpty: \r\nX-Forwarded-For: 10.0.0.9\r\n"
                   "Connection: close\r\n\r\n"));
}

static void the_key_stays_behind(void) {
  static const char *const lines[] = {
      "X-API-Key: k\r\n", "x-api-key: k\r\n",
      "X-Api-KEY: k\r\nX-API-Key: k\r\n",
      "Connection: X-API-Key\r\nX-API-Key: k\r\n"};
  const proxy_request_head get = {
      .method = "GET", .target = "/", .body = {.length = -1}};
  for (size_t i = 0; i < COUNT(lines); i++)
    CHECK_ROW(lines[i], request_is(get, lines[i],
                                   "GET / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n"
                                   "X-Forwarded-For: 10.0.0.9\r\n"
                                   "Connection: close\r\n\r\n"));
}

static void bodies_are_framed_anew(void) {
  proxy_request_head post = {
      .method = "POST", .target = "/", .body = {.length = 5}};
  static const char lines[] =
      "Content-Length: 7\r\nTransfer-Encoding: gzip, chunked\r\n";
  CHECK(request_is(post, lines,
                   "POST / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n"
                   "X-Forwarded-For: 10.0.0.9\r\nContent-Length: 5\r\n"
                   "Connection: close\r\n\r\n"));
  post.body = (proxy_body){.chunked = true, .length = -1};
  CHECK(request_is(post, lines,
                   "POST / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n"
                   "X-Forwarded-For: 10.0.0.9\r\nTransfer-Encoding: chunked\r\n"
                   "Connection: close\r\n\r\n"));
}

static void upgrades(void) {
  const proxy_request_head get = {
      .method = "GET", .target = "/", .upgrade = true, .body = {.length = -1}};
  CHECK(request_is(get,
                   "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Key: x\r\n",
                   "GET / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n"
                   "Sec-WebSocket-Key: x\r\nX-Forwarded-For: 10.0.0.9\r\n"
                   "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"));
}

static bool answer_is(proxy_answer_head head, const char *lines,
                      const char *want) {
  wrenn_buf fields = {0}, reason = {0}, out = {0};
  wrenn_buf_puts(&fields, lines);
  wrenn_buf_puts(&reason, "Fine");
  head.fields = &fields;
  head.reason = &reason;
  head.port = 80;
  proxy_put_answer(&out, &head);
  bool ok = is(&out, want);
  if (!ok)
    printf("%.*s", (int)out.len, out.data);
  wrenn_buf_free(&fields);
  wrenn_buf_free(&reason);
  wrenn_buf_free(&out);
  return ok;
}

static void answers(void) {
  proxy_answer_head ok = {
      .status = 200, .body = {.length = 3}, .keep_alive = true};
  CHECK(answer_is(ok,
                  "Server: s\r\nConnection: close\r\nContent-Length: 9\r\n"
                  "Set-Cookie: a\r\nSet-Cookie: b\r\nTrailer: x\r\n",
                  "HTTP/1.1 200 Fine\r\nServer: s\r\nSet-Cookie: a\r\n"
                  "Set-Cookie: b\r\nContent-Length: 3\r\n\r\n"));
  ok.keep_alive = false;
  ok.body = (proxy_body){.chunked = true, .length = -1};
  CHECK(answer_is(ok, "",
                  "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n"
                  "Connection: close\r\n\r\n"));
}

static void switching_is_passed_on(void) {
  const proxy_answer_head switching = {.status = 101, .body = {.length = -1}};
  CHECK(answer_is(switching,
                  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Accept: x\r\n",
                  "HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\n"
                  "Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"));
}

static void redirects(void) {
  static const struct {
    const char *from, *to;
  } rows[] = {
      {"http://127.0.0.1:80/x?y", "/x?y"},
      {"HTTP://127.0.0.1:80/x", "/x"},
      {"http://127.0.0.1:80", "/"},
      {"http://127.0.0.1:80?y", "/?y"},
      {"http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"},
      {"http://127.0.0.1:80@evil/x", "http://127.0.0.1:80@evil/x"},
      {"/x", "/x"},
      {"https://elsewhere/", "https://elsewhere/"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char line[128], want[256];
    const proxy_answer_head found = {
        .status = 302, .body = {.length = 0}, .keep_alive = true};
    snprintf(line, sizeof(line), "Location: %s\r\n", rows[i].from);
    snprintf(want, sizeof(want),
             "HTTP/1.1 302 Fine\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
             rows[i].to);
    CHECK_ROW(rows[i].from, answer_is(found, line, want));
  }
}

CHECK_MAIN({"reads the names of ports", names},
           {"cuts ids that are too long", long_ids_are_cut},
           {"passes requests on", requests},
           {"keeps the API key", the_key_stays_behind},
           {"frames bodies anew", bodies_are_framed_anew},
           {"asks for an upgrade", upgrades}, {"passes answers on", answers},
           {"passes a 101 on as it is", switching_is_passed_on},
           {"leads redirects to the same host", redirects})
