/* The JSON writer: commas, names, and values of each kind. */
#include "util/json_out.h"

#include <string.h>

#include "check.h"

/* Whether the buffer holds this text, which is JSON; frees it. */
static bool is(wrenn_buf *out, const char *text) {
  wrenn_json value;
  const char *why;
  bool same = out->len == strlen(text) && !memcmp(out->data, text, out->len);
  bool valid = wrenn_json_parse(out->data, out->len, &value, &why);
  if (!same)
    printf("%.*s\n", (int)out->len, out->data);
  wrenn_buf_free(out);
  return same && valid;
}

static void sets_commas(void) {
  wrenn_buf out = {0};
  json_object(&out, NULL);
  json_int(&out, "a", -1);
  json_object(&out, "b");
  json_object_end(&out);
  json_array(&out, "c");
  json_array_end(&out);
  json_array(&out, "d");
  json_int(&out, NULL, 1);
  json_array(&out, NULL);
  json_bool(&out, NULL, true);
  json_array_end(&out);
  json_object(&out, NULL);
  json_bool(&out, "e", false);
  json_object_end(&out);
  json_array_end(&out);
  json_text(&out, "f", "");
  json_object_end(&out);
  CHECK(is(&out, "{\"a\":-1,\"b\":{},\"c\":[],\"d\":[1,[true],{\"e\":false}],"
                 "\"f\":\"\"}"));
}

/* A string may end in what would stand before a first element. */
static void looks_at_no_string(void) {
  wrenn_buf out = {0};
  json_array(&out, NULL);
  json_text(&out, NULL, "{");
  json_text(&out, NULL, "[:");
  json_text(&out, NULL, " ");
  json_array_end(&out);
  CHECK(is(&out, "[\"{\",\"[:\",\" \"]"));
}

static void writes_each_kind(void) {
  wrenn_buf out = {0};
  json_array(&out, NULL);
  json_text(&out, NULL, "a\"\n<");
  json_bytes(&out, NULL, "\0\xff", 2);
  json_format(&out, NULL, "%s=%d", "x", 5);
  json_base64(&out, NULL, "ab", 2);
  json_base64(&out, NULL, NULL, 0);
  json_real(&out, NULL, 1.005, 1);
  json_int(&out, NULL, INT64_MIN);
  json_time(&out, NULL, 0);
  json_array_end(&out);
  CHECK(is(&out,
           "[\"a\\\"\\n\\u003c\",\"\\u0000\xef\xbf\xbd\",\"x=5\",\"YWI=\","
           "\"\",1.0,-9223372036854775808,\"1970-01-01T00:00:00Z\"]"));
}

static void copies_what_was_read(void) {
  static const char text[] = "{\"s\":\"\\u00e4\",\"n\":1.50,\"o\":{\"a\":[]}}";
  static const char *const names[] = {"s", "n", "o"};
  wrenn_json read, value;
  const char *why;
  wrenn_buf out = {0};
  CHECK(wrenn_json_parse(text, sizeof(text) - 1, &read, &why));
  json_object(&out, NULL);
  for (size_t i = 0; i < 3; i++) {
    CHECK(wrenn_json_get(&read, names[i], &value));
    json_value(&out, names[i], &value);
  }
  json_object_end(&out);
  CHECK(is(&out, text));
}

static void joins_what_was_written(void) {
  wrenn_buf members = {0}, out = {0};
  json_text(&members, "b", "x");
  json_int(&members, "c", 1);
  json_object(&out, NULL);
  json_written(&out, "", 0);
  json_int(&out, "a", 0);
  json_written(&out, "", 0);
  json_written(&out, members.data, members.len);
  json_object_end(&out);
  wrenn_buf_free(&members);
  CHECK(is(&out, "{\"a\":0,\"b\":\"x\",\"c\":1}"));
}

CHECK_MAIN({"sets commas", sets_commas},
           {"looks at no string", looks_at_no_string},
           {"writes each kind", writes_each_kind},
           {"copies what was read", copies_what_was_read},
           {"joins what was written", joins_what_was_written})
