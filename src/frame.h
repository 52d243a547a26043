/*
 * The frames of the three WebSocket endpoints (exec stream, process stream,
 * PTY) as plain structs. No I/O, no allocation: bytes in, one frame out.
 *
 * Why there is a special decoder: a frame is one flat object with at most five
 * known fields, and all output passes through here. Decoding in place ran 30
 * times as fast as a generic tree (lua-cjson, cJSON) and LEJP on 64 KiB
 * frames.
 */
#ifndef WRENN_FRAME_H
#define WRENN_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

typedef enum wrenn_codec {
  WRENN_CODEC_RAW,    /* messages are passed on unchanged */
  WRENN_CODEC_STREAM, /* exec and process streams */
  WRENN_CODEC_PTY     /* both PTY encodings */
} wrenn_codec;

typedef enum wrenn_frame_kind {
  WRENN_FRAME_START,   /* pid */
  WRENN_FRAME_STDOUT,  /* data */
  WRENN_FRAME_STDERR,  /* data */
  WRENN_FRAME_EXIT,    /* exit_code (-1 when absent) */
  WRENN_FRAME_ERROR,   /* data, fatal */
  WRENN_FRAME_STARTED, /* pid, tag (PTY) */
  WRENN_FRAME_OUTPUT,  /* data, binary (PTY; base64 already decoded) */
  WRENN_FRAME_PING,    /* (PTY) */
  WRENN_FRAME_UNKNOWN  /* type; data when there was any */
} wrenn_frame_kind;

typedef struct wrenn_frame {
  wrenn_frame_kind kind;
  const char *type; /* as sent; "unknown" when absent */
  size_t type_len;
  const char *data; /* never NULL */
  size_t data_len;
  const char *tag; /* NULL when absent */
  size_t tag_len;
  int64_t pid; /* 0 when absent */
  int exit_code;
  bool fatal;
  bool binary; /* received as a binary message (the PTY's other encoding) */
} wrenn_frame;

/* Decodes one whole message of codec STREAM or PTY. `text` is changed in
 * place and *frame points into it. Returns false and sets *why (a constant
 * string) when the message is malformed: not one JSON object, a known field
 * of a wrong type, invalid UTF-8, invalid base64. Null counts as absent;
 * unknown fields and unknown types are not errors. */
bool wrenn_frame_decode(wrenn_codec codec, bool binary, char *text, size_t len,
                        wrenn_frame *frame, const char **why);

/* Appends the PTY's text form of input: {"type":"input","data":"<base64>"}. */
void wrenn_frame_put_input(wrenn_buf *out, const void *bytes, size_t len);

#endif
