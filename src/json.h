/*
 * JSON without a tree: a pull reader over text that is not copied, and writers
 * that append to a buffer. No I/O; the reader never allocates.
 *
 * The reader is strict (RFC 8259): text must be valid UTF-8, strings contain
 * no raw control characters, nesting is at most WRENN_JSON_DEPTH. A value
 * returned by wrenn_json_parse or wrenn_json_next has been checked completely.
 */
#ifndef WRENN_JSON_H
#define WRENN_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "buf.h"

#define WRENN_JSON_DEPTH 64

typedef enum wrenn_json_type {
  WRENN_JSON_NULL,
  WRENN_JSON_BOOL,
  WRENN_JSON_NUMBER,
  WRENN_JSON_STRING,
  WRENN_JSON_ARRAY,
  WRENN_JSON_OBJECT
} wrenn_json_type;

/* A value inside the caller's text: valid as long as that is. */
typedef struct wrenn_json {
  wrenn_json_type type;
  const char *text; /* a string: the first byte after its quote */
  size_t len;       /* a string: without its quotes */
  bool escaped;     /* a string: holds at least one backslash */
} wrenn_json;

/* Walks the members of an object or the elements of an array. */
typedef struct wrenn_json_iter {
  const char *at;
  const char *end;
  bool object;
  bool first;
  const char *why; /* after a malformed step: what was wrong */
} wrenn_json_iter;

/* Parses `text` as exactly one value with optional white space around it.
 * Returns false and sets *why (a constant string) when it is not JSON. */
bool wrenn_json_parse(const char *text, size_t len, wrenn_json *value,
                      const char **why);

/* Like wrenn_json_parse for text that must be an object, but checks only the
 * opening brace: the members are checked as they are walked, and the text after
 * the closing brace by the step that returns 0. For a single pass. */
bool wrenn_json_open(wrenn_json_iter *it, const char *text, size_t len);

/* Starts a walk over an object or array value; any other type is empty. */
void wrenn_json_walk(wrenn_json_iter *it, const wrenn_json *container);

/* One step: 1 with *value (and *key for an object) set, 0 at the end,
 * -1 when malformed, with it->why set. `key` may be NULL for an array. */
int wrenn_json_next(wrenn_json_iter *it, wrenn_json *key, wrenn_json *value);

/* For one pass over all that a text holds: as wrenn_json_parse and
 * wrenn_json_next, but a container that is found has been looked at no further
 * than to its bracket. Whoever finds one walks it by an iterator of its own, by
 * wrenn_json_enter, to the step that returns 0, and then takes the first one on
 * behind it by wrenn_json_leave. How deep that may go is the walker's to say.
 * wrenn_json_begin makes the outermost iterator, which holds one value; false
 * when it is malformed, with it->why set. */
bool wrenn_json_begin(wrenn_json_iter *it, const char *text, size_t len,
                      wrenn_json *value);
void wrenn_json_enter(wrenn_json_iter *inner, const wrenn_json_iter *it,
                      const wrenn_json *container);
int wrenn_json_step(wrenn_json_iter *it, wrenn_json *key, wrenn_json *value);
void wrenn_json_leave(wrenn_json_iter *it, const wrenn_json_iter *inner);

/* Whether nothing but white space is left; sets it->why when not. */
bool wrenn_json_end(wrenn_json_iter *it);

/* Finds a member of an object by name (the last one if it is repeated). Returns
 * false if it is missing or `object` is not an object. */
bool wrenn_json_get(const wrenn_json *object, const char *name,
                    wrenn_json *value);

/* Whether a string value equals a NUL-terminated ASCII word. */
static inline bool wrenn_json_is(const wrenn_json *value, const char *word) {
  size_t len = strlen(word); /* inline for this: a constant, mostly */
  return value->type == WRENN_JSON_STRING && !value->escaped &&
         value->len == len && memcmp(value->text, word, len) == 0;
}

/* Decodes a string value to `dst`, which has room for value->len bytes and may
 * be value->text itself (decoding never grows). Lone surrogates become U+FFFD.
 * Returns the number of bytes written. */
size_t wrenn_json_decode(const wrenn_json *value, char *dst);

/* Reads a number that is a whole number in the range of int64_t; 3.0 and 3e2
 * count as whole. Returns false otherwise. */
bool wrenn_json_int(const wrenn_json *value, int64_t *out);

/* Reads a number, whatever the locale writes for its point. Returns false for
 * any other type and for what has a thousand digits. */
bool wrenn_json_double(const wrenn_json *value, double *out);

/* Reads a boolean; false for any other type. */
bool wrenn_json_true(const wrenn_json *value);

/* Whether bytes are valid UTF-8. */
bool wrenn_json_utf8(const char *bytes, size_t len);

/* Appends `bytes` as a JSON string with its quotes. Bytes that are not valid
 * UTF-8 become U+FFFD, one for each byte; <, > and & become \u00XX (the
 * server's own encoder does the same). */
void wrenn_json_put_string(wrenn_buf *out, const char *bytes, size_t len);

#endif
