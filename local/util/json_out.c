#include "util/json_out.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "util/clock.h"

/* What was written last tells whether a comma is needed. */
static void separate(wrenn_buf *out) {
  char last = out->len > 0 ? out->data[out->len - 1] : ' ';
  if (last != '{' && last != '[' && last != ':' && last != ' ')
    wrenn_buf_puts(out, ",");
}

static void begin(wrenn_buf *out, const char *name) {
  separate(out);
  if (name) {
    wrenn_json_put_string(out, name, strlen(name));
    wrenn_buf_puts(out, ":");
  }
}

void json_object(wrenn_buf *out, const char *name) {
  begin(out, name);
  wrenn_buf_puts(out, "{");
}

void json_object_end(wrenn_buf *out) { wrenn_buf_puts(out, "}"); }

void json_array(wrenn_buf *out, const char *name) {
  begin(out, name);
  wrenn_buf_puts(out, "[");
}

void json_array_end(wrenn_buf *out) { wrenn_buf_puts(out, "]"); }

void json_bytes(wrenn_buf *out, const char *name, const char *bytes,
                size_t len) {
  begin(out, name);
  wrenn_json_put_string(out, bytes, len);
}

void json_text(wrenn_buf *out, const char *name, const char *text) {
  json_bytes(out, name, text, strlen(text));
}

void json_format(wrenn_buf *out, const char *name, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int len = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *text = len < 0 ? NULL : malloc((size_t)len + 1);
  if (!text) {
    out->oom = true;
    return;
  }
  va_start(args, format);
  vsnprintf(text, (size_t)len + 1, format, args);
  va_end(args);
  json_bytes(out, name, text, (size_t)len);
  free(text);
}

void json_base64(wrenn_buf *out, const char *name, const char *bytes,
                 size_t len) {
  size_t encoded = WRENN_BASE64_ENCODED(len);
  begin(out, name);
  wrenn_buf_puts(out, "\"");
  if (wrenn_buf_reserve(out, encoded)) {
    wrenn_base64_encode(bytes, len, out->data + out->len);
    out->len += encoded;
  }
  wrenn_buf_puts(out, "\"");
}

void json_time(wrenn_buf *out, const char *name, time_t when) {
  char text[CLOCK_TEXT_SIZE];
  clock_text(text, when);
  json_text(out, name, text);
}

void json_int(wrenn_buf *out, const char *name, int64_t number) {
  begin(out, name);
  wrenn_buf_printf(out, "%lld", (long long)number);
}

void json_real(wrenn_buf *out, const char *name, double number, int decimals) {
  begin(out, name);
  wrenn_buf_printf(out, "%.*f", decimals, number);
}

void json_bool(wrenn_buf *out, const char *name, bool is) {
  begin(out, name);
  wrenn_buf_puts(out, is ? "true" : "false");
}

void json_value(wrenn_buf *out, const char *name, const wrenn_json *value) {
  bool quoted = value->type == WRENN_JSON_STRING;
  begin(out, name);
  wrenn_buf_puts(out, quoted ? "\"" : "");
  wrenn_buf_append(out, value->text, value->len);
  wrenn_buf_puts(out, quoted ? "\"" : "");
}

void json_written(wrenn_buf *out, const char *text, size_t len) {
  if (len == 0)
    return;
  separate(out);
  wrenn_buf_append(out, text, len);
}
