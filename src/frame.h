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

#include "buf.h"
#include "wrenn.h"

/* Decodes one whole message of codec STREAM or PTY. `text` is changed in
 * place and *frame points into it. Returns false and sets *why (a constant
 * string) when the message is malformed: not one JSON object, a known field
 * of a wrong type, invalid UTF-8, invalid base64. Null counts as absent;
 * unknown fields and unknown types are not errors. */
bool wrenn_frame_decode(wrenn_codec codec, bool binary, char *text, size_t len,
                        wrenn_frame *frame, const char **why);

/* Appends the message that starts a stream's command: {"type":"start","cmd":
 * "...","args":["..."]}. `count` is at least 1. */
void wrenn_frame_put_start(wrenn_buf *out, const char *const *words,
                           size_t count);

/* Appends the PTY's text form of input: {"type":"input","data":"<base64>"}. */
void wrenn_frame_put_input(wrenn_buf *out, const void *bytes, size_t len);

#endif
