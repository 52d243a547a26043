/* Header lines, as text of the form "Name: value" CRLF. No I/O. */
#ifndef WRENN_LOCAL_HTTP_FIELDS_H
#define WRENN_LOCAL_HTTP_FIELDS_H

#include <stdbool.h>

#include "buf.h"

typedef struct field {
  const char *name, *value;
  size_t name_len, value_len;
  const char *line;
  size_t line_len; /* with its CRLF */
} field;

/* Returns the line at *at, which begins with 0; false at the end. */
bool fields_next(const wrenn_buf *fields, size_t *at, field *f);

/* Names and these values are the same in upper and lower case. */
bool field_is(const field *f, const char *name);
bool field_says(const field *f, const char *value);

/* Finds the last line with a name; false when there is none. */
bool fields_find(const wrenn_buf *fields, const char *name, field *f);

/* Its value as text, cut where it does not fit; "" when there is none. */
void fields_text(const wrenn_buf *fields, const char *name, char *text,
                 size_t size);

#endif
