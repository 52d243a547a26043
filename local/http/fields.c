#include "http/fields.h"

#include <string.h>
#include <strings.h>

bool fields_next(const wrenn_buf *fields, size_t *at, field *f) {
  if (*at >= fields->len)
    return false;
  f->line = fields->data + *at;
  size_t left = fields->len - *at;
  const char *end = memchr(f->line, '\n', left);
  f->line_len = end ? (size_t)(end - f->line) + 1 : left;
  *at += f->line_len;
  const char *colon = memchr(f->line, ':', f->line_len);
  f->name = f->line;
  f->name_len = colon ? (size_t)(colon - f->line) : 0;
  f->value = f->line + f->name_len + (colon ? 2 : 0); /* ": " */
  f->value_len = f->line_len - (size_t)(f->value - f->line) - (end ? 2 : 0);
  return true;
}

static bool same(const char *text, size_t len, const char *other) {
  return strlen(other) == len && strncasecmp(text, other, len) == 0;
}

bool field_is(const field *f, const char *name) {
  return same(f->name, f->name_len, name);
}

bool field_says(const field *f, const char *value) {
  return same(f->value, f->value_len, value);
}

bool fields_find(const wrenn_buf *fields, const char *name, field *f) {
  size_t at = 0;
  bool found = false;
  field next;
  while (fields_next(fields, &at, &next))
    if (field_is(&next, name)) {
      *f = next;
      found = true;
    }
  return found;
}

void fields_text(const wrenn_buf *fields, const char *name, char *text,
                 size_t size) {
  field f = {0};
  size_t len = fields_find(fields, name, &f) ? f.value_len : 0;
  if (len > size - 1)
    len = size - 1;
  if (len > 0)
    memcpy(text, f.value, len);
  text[len] = '\0';
}
