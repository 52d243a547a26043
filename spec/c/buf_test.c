/*
 * The growable buffer. It carries no protocol case of its own; the writers
 * and readers of all of them rest on it.
 */
#include "buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static bool holds(const wrenn_buf *b, const char *text) {
  size_t len = strlen(text);
  return b->len == len && (len == 0 || memcmp(b->data, text, len) == 0);
}

static void starts_empty(void) {
  wrenn_buf b = {0};
  CHECK(b.data == NULL && b.len == 0 && b.cap == 0 && !b.oom);
  wrenn_buf_append(&b, NULL, 0);
  wrenn_buf_puts(&b, "");
  CHECK(b.len == 0 && !b.oom);
  CHECK(wrenn_buf_reserve(&b, 0));
  wrenn_buf_consume(&b, 0);
  wrenn_buf_consume(&b, 10);
  wrenn_buf_clear(&b);
  CHECK(b.len == 0 && !b.oom);
  wrenn_buf_free(&b);
  CHECK(b.data == NULL && b.cap == 0);
}

static void grows(void) {
  wrenn_buf b = {0};
  size_t count = 100000;
  for (size_t i = 0; i < count; i++) {
    char c = (char)(i * 7);
    wrenn_buf_append(&b, &c, 1);
  }
  CHECK(!b.oom && b.len == count && b.cap >= count);
  bool same = true;
  for (size_t i = 0; i < b.len; i++)
    same = same && b.data[i] == (char)(i * 7);
  CHECK(same);
  wrenn_buf_free(&b);
}

static void grows_by_any_size(void) {
  static const size_t sizes[] = {1, 255, 256, 257, 511, 512, 513, 70000};
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    wrenn_buf b = {0};
    char *bytes = malloc(sizes[i]);
    memset(bytes, 'x', sizes[i]);
    wrenn_buf_puts(&b, "ab");
    wrenn_buf_append(&b, bytes, sizes[i]);
    CHECK(!b.oom && b.len == sizes[i] + 2 && b.cap >= b.len);
    CHECK(memcmp(b.data, "ab", 2) == 0);
    CHECK(memcmp(b.data + 2, bytes, sizes[i]) == 0);
    free(bytes);
    wrenn_buf_free(&b);
  }
}

static void reserves(void) {
  wrenn_buf b = {0};
  wrenn_buf_puts(&b, "abc");
  CHECK(wrenn_buf_reserve(&b, 5000));
  CHECK(b.cap - b.len >= 5000 && holds(&b, "abc"));
  char *data = b.data;
  memset(b.data + b.len, 'x', 5000);
  CHECK(wrenn_buf_reserve(&b, 5000) && b.data == data);
  wrenn_buf_free(&b);
}

static void consumes(void) {
  static const struct {
    const char *text;
    size_t count;
    const char *left;
  } rows[] = {
      {"abcdef", 0, "abcdef"},
      {"abcdef", 1, "bcdef"},
      {"abcdef", 5, "f"},
      {"abcdef", 6, ""},
      {"abcdef", 7, ""},
      {"abcdef", SIZE_MAX, ""},
      {"", 1, ""},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    wrenn_buf b = {0};
    wrenn_buf_puts(&b, rows[i].text);
    wrenn_buf_consume(&b, rows[i].count);
    CHECK_ROW(rows[i].text, holds(&b, rows[i].left));
    wrenn_buf_puts(&b, "");
    CHECK_ROW(rows[i].text, holds(&b, rows[i].left));
    wrenn_buf_free(&b);
  }
}

static void formats(void) {
  wrenn_buf b = {0};
  wrenn_buf_printf(&b, "%s=%d", "a", 1);
  wrenn_buf_printf(&b, "%s", "");
  wrenn_buf_printf(&b, "&%04x", 0x1fu);
  CHECK(holds(&b, "a=1&001f"));
  wrenn_buf_free(&b);
}

/* The NUL that formatting writes is not part of the text, but needs room. */
static void formats_at_every_fill(void) {
  for (size_t fill = 240; fill < 260; fill++) {
    wrenn_buf b = {0};
    for (size_t i = 0; i < fill; i++)
      wrenn_buf_append(&b, "x", 1);
    wrenn_buf_printf(&b, "%s", "0123456789");
    CHECK(!b.oom && b.len == fill + 10);
    CHECK(memcmp(b.data + fill, "0123456789", 10) == 0);
    wrenn_buf_free(&b);
  }
  wrenn_buf b = {0};
  wrenn_buf_printf(&b, "%5000d", 7);
  CHECK(b.len == 5000 && b.data[0] == ' ' && b.data[4999] == '7');
  wrenn_buf_free(&b);
}

static void running_out_of_memory_is_sticky(void) {
  wrenn_buf b = {0};
  CHECK(!wrenn_buf_reserve(&b, SIZE_MAX));
  CHECK(b.oom && b.data == NULL && b.len == 0);
  CHECK(!wrenn_buf_reserve(&b, 1));
  wrenn_buf_append(&b, "x", 1);
  wrenn_buf_puts(&b, "x");
  wrenn_buf_printf(&b, "%d", 1);
  CHECK(b.oom && b.len == 0);
  wrenn_buf_clear(&b);
  wrenn_buf_puts(&b, "again");
  CHECK(!b.oom && holds(&b, "again"));
  wrenn_buf_free(&b);
}

static void a_failure_keeps_what_was_there(void) {
  /* The first three overflow together with what is there, the rest are
   * sizes that no allocator gives. */
  static const size_t sizes[] = {SIZE_MAX,     SIZE_MAX - 1, SIZE_MAX - 2,
                                 SIZE_MAX - 3, SIZE_MAX - 4, SIZE_MAX / 2 + 1};
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    wrenn_buf b = {0};
    wrenn_buf_puts(&b, "abc");
    size_t cap = b.cap;
    CHECK(!wrenn_buf_reserve(&b, sizes[i]));
    wrenn_buf_puts(&b, "def");
    wrenn_buf_printf(&b, "%s", "ghi");
    CHECK(b.oom && b.cap == cap && holds(&b, "abc"));
    wrenn_buf_consume(&b, 1);
    CHECK(b.oom && holds(&b, "bc"));
    wrenn_buf_free(&b);
    CHECK(!b.oom && b.data == NULL);
  }
}

static void clears(void) {
  wrenn_buf b = {0};
  wrenn_buf_puts(&b, "abc");
  char *data = b.data;
  wrenn_buf_clear(&b);
  CHECK(b.len == 0 && b.data == data);
  wrenn_buf_puts(&b, "d");
  CHECK(holds(&b, "d") && b.data == data);
  wrenn_buf_free(&b);
}

CHECK_MAIN({"starts empty", starts_empty}, {"grows byte by byte", grows},
           {"grows by any size", grows_by_any_size}, {"reserves", reserves},
           {"consumes", consumes}, {"formats", formats},
           {"formats at every fill", formats_at_every_fill},
           {"running out of memory is sticky", running_out_of_memory_is_sticky},
           {"a failure keeps what was there", a_failure_keeps_what_was_there},
           {"clears and keeps the memory", clears})
