/*
 * Writes JSON to a buffer. `name` is the name of a member; it is NULL for an
 * element of an array and for a value by itself. Commas are written where they
 * are needed.
 */
#ifndef WRENN_LOCAL_UTIL_JSON_OUT_H
#define WRENN_LOCAL_UTIL_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "buf.h"
#include "json.h"

void json_object(wrenn_buf *out, const char *name);
void json_object_end(wrenn_buf *out);
void json_array(wrenn_buf *out, const char *name);
void json_array_end(wrenn_buf *out);

/* A string; one that is formatted; one of any bytes; bytes in base64. */
void json_text(wrenn_buf *out, const char *name, const char *text);
void json_format(wrenn_buf *out, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void json_bytes(wrenn_buf *out, const char *name, const char *bytes,
                size_t len);
void json_base64(wrenn_buf *out, const char *name, const char *bytes,
                 size_t len);

/* A time as the API writes it. */
void json_time(wrenn_buf *out, const char *name, time_t when);

void json_int(wrenn_buf *out, const char *name, int64_t number);
void json_real(wrenn_buf *out, const char *name, double number, int decimals);
void json_bool(wrenn_buf *out, const char *name, bool is);

/* A value that has been read, unchanged. */
void json_value(wrenn_buf *out, const char *name, const wrenn_json *value);

/* Members or elements that have been written before. */
void json_written(wrenn_buf *out, const char *text, size_t len);

#endif
