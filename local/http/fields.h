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

/* Reads the line at *at, which starts at 0, and advances *at; false at the end.
 */
bool fields_next(const wrenn_buf *fields, size_t *at, field *f);

/* Compare the name, or the value, without regard to case. */
bool field_is(const field *f, const char *name);
bool field_says(const field *f, const char *value);

/* Finds the last line with a name; false if there is none. */
bool fields_find(const wrenn_buf *fields, const char *name, field *f);

/* Copies its value, truncated if it does not fit; "" if there is none. */
void fields_text(const wrenn_buf *fields, const char *name, char *text,
                 size_t size);

#endif
