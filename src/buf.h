/*
 * A growable byte buffer. `wrenn_buf b = {0};` makes an empty one.
 *
 * Running out of memory is sticky: after a failed append the buffer ignores
 * further appends and `b.oom` is true, so a writer checks once, at its end.
 */
#ifndef WRENN_BUF_H
#define WRENN_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct wrenn_buf {
  char *data; /* owned; NULL while empty; not NUL-terminated */
  size_t len;
  size_t cap;
  bool oom;
} wrenn_buf;

/* Makes room for `extra` more bytes. Returns false (and sets oom) on failure,
 * also when the new size would overflow. */
bool wrenn_buf_reserve(wrenn_buf *b, size_t extra);

/* Appends a copy of the bytes. A NULL `data` is allowed when `len` is 0. */
void wrenn_buf_append(wrenn_buf *b, const void *data, size_t len);

/* Appends a NUL-terminated string without its NUL. */
void wrenn_buf_puts(wrenn_buf *b, const char *text);

/* Appends formatted text. */
void wrenn_buf_printf(wrenn_buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops the first `count` bytes (all of them when there are fewer). */
void wrenn_buf_consume(wrenn_buf *b, size_t count);

/* Empties the buffer and keeps its memory; clears oom. */
void wrenn_buf_clear(wrenn_buf *b);

/* Frees the memory and leaves an empty buffer. */
void wrenn_buf_free(wrenn_buf *b);

#endif
