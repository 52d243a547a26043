/* libFuzzer target: any body, in one piece and in two, cut where the first byte
 * says. However it is cut, the parts are the same. */
#include "http/multipart.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct seen {
  size_t parts, ends, bytes;
  unsigned sum;
} seen;

static bool note(void *arg, multipart_event event, const char *data,
                 size_t len) {
  seen *s = arg;
  switch (event) {
  case MULTIPART_PART:
    s->parts++;
    break;
  case MULTIPART_DATA:
    s->bytes += len;
    for (size_t i = 0; i < len; i++)
      s->sum = s->sum * 31 + (unsigned char)data[i];
    break;
  case MULTIPART_END:
    s->ends++;
    break;
  }
  return true;
}

static bool same(const seen *a, const seen *b) {
  return a->parts == b->parts && a->ends == b->ends && a->bytes == b->bytes &&
         a->sum == b->sum;
}

static bool parse(const char *data, size_t size, size_t cut, seen *s) {
  multipart *m = malloc(sizeof(*m));
  memset(s, 0, sizeof(*s));
  bool ok =
      m && multipart_start(m, "multipart/form-data; boundary=b", note, s) &&
      multipart_feed(m, data, cut) && multipart_feed(m, data + cut, size - cut);
  if (ok && multipart_complete(m) && s->parts != s->ends)
    abort();
  free(m);
  return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  seen whole, cut;
  if (size == 0)
    return 0;
  const char *text = (const char *)data + 1;
  size_t at = data[0] < size ? data[0] : size - 1;
  bool a = parse(text, size - 1, 0, &whole);
  bool b = parse(text, size - 1, at, &cut);
  if (a != b || (a && !same(&whole, &cut)))
    abort();
  return 0;
}
