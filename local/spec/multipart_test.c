/* multipart/form-data: each body is fed whole, byte by byte and cut at every
 * one and every two points, and must give the same events each time. */
#include "http/multipart.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define TYPE "multipart/form-data; boundary=XyZ"
#define PART(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

/* What a parser gave out: "<name>bytes|" for each part. */
typedef struct transcript {
  char text[1024];
  size_t len;
  int stop_at; /* the event that is refused; 0: none */
  int events;
} transcript;

static void note(transcript *t, const char *data, size_t len) {
  if (len > sizeof(t->text) - t->len) {
    CHECK(!"the transcript is too long");
    return;
  }
  memcpy(t->text + t->len, data, len);
  t->len += len;
}

static bool record(void *arg, multipart_event event, const char *data,
                   size_t len) {
  transcript *t = arg;
  if (++t->events == t->stop_at)
    return false;
  if (event == MULTIPART_PART)
    note(t, "<", 1);
  if (event != MULTIPART_END)
    note(t, data, len);
  if (event != MULTIPART_DATA)
    note(t, event == MULTIPART_PART ? ">" : "|", 1);
  return true;
}

/* Feeds a copy that ends where the piece does, for the sanitizer to see. */
static bool feed(multipart *m, const char *data, size_t len) {
  char *copy = malloc(len ? len : 1);
  memcpy(copy, data, len);
  bool ok = multipart_feed(m, copy, len);
  free(copy);
  return ok;
}

typedef struct row {
  const char *body;
  const char *events;
  bool ok;
  bool complete;
} row;

static void check_cuts(const char *type, const row *r, size_t len,
                       const size_t *cuts, size_t count) {
  static multipart m; /* the header in it is large */
  transcript t = {.len = 0};
  size_t at = 0;
  bool ok = true;
  CHECK_ROW(type, multipart_start(&m, type, record, &t));
  for (size_t i = 0; i <= count && ok; i++) {
    size_t to = i < count ? cuts[i] : len;
    ok = feed(&m, r->body + at, to - at);
    at = to;
  }
  CHECK_ROW(r->body, ok == r->ok);
  CHECK_ROW(r->body, multipart_complete(&m) == r->complete);
  CHECK_ROW(r->body, t.len == strlen(r->events) &&
                         memcmp(t.text, r->events, t.len) == 0);
  if (!ok) /* broken stays broken */
    CHECK_ROW(r->body, !feed(&m, "x", 1) && !multipart_complete(&m));
}

static void check_row(const char *type, const row *r) {
  size_t len = strlen(r->body);
  size_t *bytes = malloc((len + 1) * sizeof(*bytes));
  for (size_t i = 0; i <= len; i++)
    bytes[i] = i;
  check_cuts(type, r, len, NULL, 0);
  check_cuts(type, r, len, bytes, len + 1);
  for (size_t i = 0; i <= len; i++)
    for (size_t k = i; k <= len; k++)
      check_cuts(type, r, len, (size_t[]){i, k}, 2);
  free(bytes);
}

static void whole_bodies(void) {
  static const row rows[] = {
      /* parts in any order */
      {"--XyZ\r\n" PART("path") "/tmp/a\r\n--XyZ\r\n" PART(
           "file") "data\r\n--XyZ--\r\n",
       "<path>/tmp/a|<file>data|", true, true},
      {"--XyZ\r\n" PART("file") "data\r\n--XyZ\r\n" PART(
           "path") "/tmp/a\r\n--XyZ--",
       "<file>data|<path>/tmp/a|", true, true},
      {"--XyZ--\r\n", "", true, true},
      /* around the parts */
      {"preamble\r\n--Xy\r\n\r\n--XyZ\r\n" PART("a") "1\r\n--XyZ--\r\nrest\r\n"
                                                     "--XyZ\r\n",
       "<a>1|", true, true},
      {"\r\n--XyZ\r\n" PART("a") "1\r\n--XyZ--", "<a>1|", true, true},
      {"--XyZ \t\r\n" PART("a") "1\r\n--XyZ--", "<a>1|", true, true},
      /* an empty file */
      {"--XyZ\r\n" PART("file") "\r\n--XyZ--\r\n", "<file>|", true, true},
      {"--XyZ\r\n" PART("a") "\r\n--XyZ\r\n" PART("b") "\r\n--XyZ--",
       "<a>|<b>|", true, true},
      /* line breaks of the data's own */
      {"--XyZ\r\n" PART("a") "\r\n\r\n--XyZ--", "<a>\r\n|", true, true},
      {"--XyZ\r\n" PART("a") "\r\r\r\r\n--XyZ--", "<a>\r\r\r|", true, true},
      {"--XyZ\r\n" PART("a") "\n\r\n\r\r\n--XyZ--", "<a>\n\r\n\r|", true, true},
      {"--XyZ\r\n" PART("a") "x\n--XyZ--\r\n--XyZ--", "<a>x\n--XyZ--|", true,
       true},
      /* what looks like the delimiter */
      {"--XyZ\r\n" PART("a") "\r\n--Xy\r\n--X\r\n--\r\n-\r\n--XyZ--",
       "<a>\r\n--Xy\r\n--X\r\n--\r\n-|", true, true},
      {"--XyZ\r\n" PART("a") "\r\n--XyA\r\r\n--Xy\r\n--XyZ--",
       "<a>\r\n--XyA\r\r\n--Xy|", true, true},
      {"--XyZ\r\n" PART("a") "a--XyZ\r--XyZ\n--xyz\r\n--XyZ--",
       "<a>a--XyZ\r--XyZ\n--xyz|", true, true},
      {"--XyZ\r\n" PART("a") "-\r\n---XyZ\r\n--XyZ--", "<a>-\r\n---XyZ|", true,
       true},
      /* what begins with the delimiter and is longer */
      {"--XyZ\r\n" PART("a") "1\r\n--XyZ!\r\n--XyZZ--\r\n--XyZ--",
       "<a>1\r\n--XyZ!\r\n--XyZZ--|", true, true},
      {"--XyZ\r\n" PART("a") "\r\n--XyZ-\r\n--XyZ-x\r\n--XyZ--",
       "<a>\r\n--XyZ-\r\n--XyZ-x|", true, true},
      {"--XyZ\r\n" PART("a") "\r\n--XyZ \t\r\r\n--XyZ\r\r\n--XyZ--",
       "<a>\r\n--XyZ \t\r\r\n--XyZ\r|", true, true},
      {"--XyZ\r\n" PART("a") "\r\n--XyZ -\r\n--XyZ \r\n" PART(
           "b") "\r\n--XyZ--",
       "<a>\r\n--XyZ -|<b>|", true, true},
      {"--XyZx\r\n" PART("a") "1\r\n--XyZ--", "", true, true},
      {"--XyZ\n" PART("a") "1\r\n--XyZ--", "", true, true},
      /* headers */
      {"--XyZ\r\nContent-Type: text/plain\r\ncontent-disposition: form-data;"
       " filename=\"n\"; NAME=a\r\nX-Y: z\r\n\r\n1\r\n--XyZ--",
       "<a>1|", true, true},
      {"--XyZ\r\nContent-Disposition:form-data;name=\"a\\\"b\\\\\"\r\n\r\n1\r\n"
       "--XyZ--",
       "<a\"b\\>1|", true, true},
      {"--XyZ\r\n" PART("") "1\r\n--XyZ--", "<>1|", true, true},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    check_row(TYPE, &rows[i]);
}

static void missing_ends(void) {
  static const row rows[] = {
      {"", "", true, false},
      {"no delimiter at all", "", true, false},
      {"--XyZ", "", true, false},
      {"--XyZ\rContent", "", true, false},
      {"--XyZ-x", "", true, false},
      {"--XyZ\r\n" PART("a") "1\r\n--XyZ!", "<a>1\r\n--XyZ!", true, false},
      {"--XyZ\r\nContent-Disp", "", true, false},
      {"--XyZ\r\n" PART("a"), "<a>", true, false},
      {"--XyZ\r\n" PART("a") "some", "<a>some", true, false},
      {"--XyZ\r\n" PART("a") "some\r\n--Xy", "<a>some", true, false},
      {"--XyZ\r\n" PART("a") "some\r\n--XyZ", "<a>some", true, false},
      {"--XyZ\r\n" PART("a") "some\r\n--XyZ-", "<a>some", true, false},
      {"--XyZ\r\n" PART("a") "some\r\n--XyZ\r\n", "<a>some|", true, false},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    check_row(TYPE, &rows[i]);
}

static void malformed_bodies(void) {
  static const row rows[] = {
      {"--XyZ\r\n\r\nno headers\r\n--XyZ--", "", false, false},
      {"--XyZ\r\nContent-Type: a/b\r\n\r\n1\r\n--XyZ--", "", false, false},
      {"--XyZ\r\nContent-Disposition: form-data\r\n\r\n1\r\n--XyZ--", "", false,
       false},
      {"--XyZ\r\nContent-Disposition: form-data; filename=\"a\"\r\n\r\n1", "",
       false, false},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    check_row(TYPE, &rows[i]);
}

static void headers_are_limited(void) {
  static multipart m;
  static char header[2 * MULTIPART_HEADER_MAX];
  transcript t = {.len = 0};
  memset(header, 'x', sizeof(header));
  CHECK(multipart_start(&m, TYPE, record, &t));
  CHECK(feed(&m, "--XyZ\r\n", 7));
  CHECK(!feed(&m, header, sizeof(header)));
  CHECK(t.events == 0);
  /* A name that is too long for any of ours. */
  CHECK(multipart_start(&m, TYPE, record, &t));
  CHECK(feed(&m, "--XyZ\r\nContent-Disposition: form-data; name=", 44));
  CHECK(feed(&m, header, 1000));
  CHECK(!feed(&m, "\r\n\r\n", 4));
  CHECK(t.events == 0);
}

static void a_part_may_be_long(void) {
  static multipart m;
  static char data[600];
  transcript t = {.len = 0};
  memset(data, '\r', sizeof(data));
  CHECK(multipart_start(&m, TYPE, record, &t));
  CHECK(feed(&m, "--XyZ\r\n" PART("a"), 7 + strlen(PART("a"))));
  CHECK(feed(&m, data, sizeof(data)));
  CHECK(feed(&m, "\r\n--XyZ--", 9) && multipart_complete(&m));
  CHECK(t.len == sizeof(data) + 4);
  CHECK(memcmp(t.text + 3, data, sizeof(data)) == 0);
}

static void the_handler_stops_it(void) {
  static const char body[] =
      "--XyZ\r\n" PART("a") "1\r\n--XyZ\r\n" PART("b") "2\r\n--XyZ--";
  for (int stop = 1; stop <= 7; stop++) {
    static multipart m;
    transcript t = {.stop_at = stop};
    CHECK(multipart_start(&m, TYPE, record, &t));
    bool ok = feed(&m, body, sizeof(body) - 1);
    CHECK(ok == (stop == 7) && multipart_complete(&m) == ok);
    CHECK(t.events == (ok ? 6 : stop));
    if (!ok)
      CHECK(!feed(&m, "x", 1) && t.events == stop);
  }
}

static void content_types(void) {
  static const row simple = {"--XyZ\r\n" PART("a") "1\r\n--XyZ--", "<a>1|",
                             true, true};
  static const row odd = {"--a; b\"c\r\n" PART("a") "1\r\n--a; b\"c--", "<a>1|",
                          true, true};
  static const char *const good[] = {
      TYPE,
      "multipart/form-data;boundary=XyZ",
      "multipart/form-data; boundary=\"XyZ\"",
      "Multipart/Form-Data; charset=utf-8; BOUNDARY=\"XyZ\"; x=y",
      "multipart/form-data;\tboundary=XyZ ; x=y",
  };
  static const char *const bad[] = {
      "",
      "application/json",
      "multipart/mixed; boundary=XyZ",
      "multipart/form-data",
      "multipart/form-data; boundary",
      "multipart/form-data; boundary=",
      "multipart/form-data; boundary=\"\"",
      "multipart/form-data; xboundary=XyZ",
      "multipart/form-data boundary=XyZ",
  };
  static multipart m;
  for (size_t i = 0; i < COUNT(good); i++)
    check_row(good[i], &simple);
  check_row("multipart/form-data; boundary=\"a; b\\\"c\"", &odd);
  for (size_t i = 0; i < COUNT(bad); i++)
    CHECK_ROW(bad[i], !multipart_start(&m, bad[i], record, NULL));
}

static void boundaries_are_limited(void) {
  for (size_t len = 1; len <= MULTIPART_BOUNDARY_MAX + 2; len++) {
    static multipart m;
    char type[300] = "multipart/form-data; boundary=";
    size_t at = strlen(type);
    memset(type + at, 'b', len);
    type[at + len] = '\0';
    CHECK(multipart_start(&m, type, record, NULL) ==
          (len <= MULTIPART_BOUNDARY_MAX));
  }
}

CHECK_MAIN({"whole bodies", whole_bodies}, {"missing ends", missing_ends},
           {"malformed bodies", malformed_bodies},
           {"headers are limited", headers_are_limited},
           {"a part may be long", a_part_may_be_long},
           {"the handler stops it", the_handler_stops_it},
           {"content types", content_types},
           {"boundaries are limited", boundaries_are_limited})
