/*
 * permessage-deflate (RFC 7692) for one WebSocket, without context takeover:
 * each message is compressed by itself. No I/O.
 */
#ifndef WRENN_LOCAL_HTTP_DEFLATE_H
#define WRENN_LOCAL_HTTP_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/* The server's answer to an acceptable offer. */
#define DEFLATE_ACCEPTED                                                       \
  "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

typedef struct deflate_state deflate_state;

/* Whether a Sec-WebSocket-Extensions header offers compression in a form that
 * the answer above satisfies. */
bool deflate_offered(const char *header);

/* Returns NULL when memory is out. Free with deflate_free, which accepts
 * NULL. */
deflate_state *deflate_new(void);
void deflate_free(deflate_state *d);

/* Appends the compressed message. Returns false when memory is out. */
bool deflate_pack(deflate_state *d, const char *data, size_t len,
                  wrenn_buf *out);

/* Appends the decompressed message. Returns false if it is malformed or larger
 * than `max`, or when memory is out. */
bool deflate_unpack(deflate_state *d, const char *data, size_t len, size_t max,
                    wrenn_buf *out);

#endif
