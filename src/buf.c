#include "buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 256

bool wrenn_buf_reserve(wrenn_buf *b, size_t extra) {
  if (b->oom)
    return false;
  if (b->cap - b->len >= extra)
    return true;
  size_t cap = b->cap ? b->cap : FIRST_SIZE;
  if (extra > SIZE_MAX - b->len)
    goto oom;
  while (cap < b->len + extra) {
    if (cap > SIZE_MAX / 2) {
      cap = b->len + extra;
      break;
    }
    cap *= 2;
  }
  char *data = realloc(b->data, cap);
  if (!data)
    goto oom;
  b->data = data;
  b->cap = cap;
  return true;

oom:
  b->oom = true;
  return false;
}

void wrenn_buf_append(wrenn_buf *b, const void *data, size_t len) {
  if (len == 0 || !wrenn_buf_reserve(b, len))
    return;
  memcpy(b->data + b->len, data, len);
  b->len += len;
}

void wrenn_buf_puts(wrenn_buf *b, const char *text) {
  wrenn_buf_append(b, text, strlen(text));
}

void wrenn_buf_printf(wrenn_buf *b, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int len = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (len < 0 || !wrenn_buf_reserve(b, (size_t)len + 1)) {
    b->oom = true;
    return;
  }
  va_start(args, format);
  vsnprintf(b->data + b->len, (size_t)len + 1, format, args);
  va_end(args);
  b->len += (size_t)len;
}

void wrenn_buf_consume(wrenn_buf *b, size_t count) {
  if (count >= b->len) {
    b->len = 0;
    return;
  }
  memmove(b->data, b->data + count, b->len - count);
  b->len -= count;
}

void wrenn_buf_clear(wrenn_buf *b) {
  b->len = 0;
  b->oom = false;
}

void wrenn_buf_free(wrenn_buf *b) {
  free(b->data);
  *b = (wrenn_buf){0};
}
