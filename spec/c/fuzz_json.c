/* libFuzzer target: any text, parsed, walked to its leaves and its strings
 * decoded in place; and any bytes, written as a string and read again. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *begin, *finish;

static void require(bool ok) {
  if (!ok)
    abort();
}

static void visit(const wrenn_json *value, unsigned depth) {
  wrenn_json key, element;
  wrenn_json_iter it;
  int64_t number;
  int found;
  require(depth <= WRENN_JSON_DEPTH);
  require(value->text >= begin && value->text <= finish);
  require(value->len <= (size_t)(finish - value->text));
  wrenn_json_int(value, &number);
  wrenn_json_get(value, "a", &element);
  require(!wrenn_json_true(value) || value->type == WRENN_JSON_BOOL);
  wrenn_json_walk(&it, value);
  while ((found = wrenn_json_next(&it, &key, &element)) > 0) {
    if (value->type == WRENN_JSON_OBJECT)
      visit(&key, depth + 1);
    visit(&element, depth + 1);
  }
  require(found == 0); /* it was checked when it was parsed */
  if (value->type == WRENN_JSON_STRING) {
    /* In place, but into a copy: the walk above us reads the text again. */
    char *copy = malloc(value->len ? value->len : 1);
    memcpy(copy, value->text, value->len);
    wrenn_json own = *value;
    own.text = copy;
    size_t len = wrenn_json_decode(&own, copy);
    require(len <= value->len && wrenn_json_utf8(copy, len));
    free(copy);
  }
}

/* As whoever builds a tree in one pass. Returns false when it is malformed. */
static bool descend(wrenn_json_iter *it, const wrenn_json *value,
                    unsigned depth) {
  wrenn_json_iter inner;
  wrenn_json key, element;
  double number;
  int found;
  if (value->type == WRENN_JSON_NUMBER)
    wrenn_json_double(value, &number);
  if (value->type != WRENN_JSON_OBJECT && value->type != WRENN_JSON_ARRAY)
    return true;
  if (depth == WRENN_JSON_DEPTH)
    return false;
  wrenn_json_enter(&inner, it, value);
  while ((found = wrenn_json_step(&inner, &key, &element)) > 0)
    if (!descend(&inner, &element, depth + 1))
      return false;
  require(found == 0 || inner.why);
  if (found < 0)
    return false;
  wrenn_json_leave(it, &inner);
  return true;
}

static bool one_pass(const char *text, size_t size) {
  wrenn_json_iter it;
  wrenn_json value;
  if (!wrenn_json_begin(&it, text, size, &value)) {
    require(it.why != NULL);
    return false;
  }
  return descend(&it, &value, 0) && wrenn_json_end(&it);
}

static void round_trip(const char *text, size_t size) {
  wrenn_buf out = {0};
  wrenn_json value;
  const char *why;
  wrenn_json_put_string(&out, text, size);
  require(wrenn_json_parse(out.data, out.len, &value, &why));
  require(value.type == WRENN_JSON_STRING);
  size_t len = wrenn_json_decode(&value, out.data);
  if (wrenn_json_utf8(text, size))
    require(len == size && memcmp(out.data, text, size) == 0);
  wrenn_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size ? size : 1);
  wrenn_json value, key;
  wrenn_json_iter it;
  const char *why = NULL;
  int found = -1;
  if (size)
    memcpy(text, data, size);
  begin = text;
  finish = text + size;
  bool ok = wrenn_json_parse(text, size, &value, &why);
  require(ok || (why && *why));
  if (ok)
    visit(&value, 0);
  require(one_pass(text, size) == ok);
  bool object = ok && value.type == WRENN_JSON_OBJECT;
  /* One pass without parsing first finds the same. */
  if (wrenn_json_open(&it, text, size))
    while ((found = wrenn_json_next(&it, &key, &value)) > 0)
      ;
  require((found == 0) == object && (found == 0 || it.why));
  round_trip(text, size);
  free(text);
  return 0;
}
