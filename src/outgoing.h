/*
 * The body of a request on its way to libcurl: bytes, then a part of a file if
 * there is one, then more bytes. A file's go from the system to libcurl's own
 * buffer. Internal to the transport of requests.
 */
#ifndef WRENN_OUTGOING_H
#define WRENN_OUTGOING_H

#include "buf.h"
#include "wrenn.h"

/* All zero: empty. */
typedef struct wrenn_outgoing {
  wrenn_buf sending;
  wrenn_buf queued; /* behind `sending` and the file */
  size_t sent;      /* of `sending` */
  int file;         /* a descriptor of its own; 0: none */
  uint64_t at;      /* where it continues */
  uint64_t left;    /* how much of it */
  int error;        /* errno of a file that could not be read; 0: it ended */
} wrenn_outgoing;

/* Adds bytes, which are copied. False: out of memory. */
bool wrenn_outgoing_put(wrenn_outgoing *out, const void *data, size_t len);

/* Adds `len` bytes of a file, from `at` on, of which the caller keeps its
 * descriptor. ARGUMENT: one is being sent; SYSTEM: no descriptor left. */
wrenn_status wrenn_outgoing_put_file(wrenn_outgoing *out, int fd, uint64_t at,
                                     uint64_t len);

/* The number of bytes in memory. */
size_t wrenn_outgoing_held(const wrenn_outgoing *out);

bool wrenn_outgoing_is_empty(const wrenn_outgoing *out);

/* Moves as much as there is, up to `room` bytes, to `dst`. False: the file
 * could not be read; out->error says why. */
bool wrenn_outgoing_take(wrenn_outgoing *out, char *dst, size_t room,
                         size_t *taken);

void wrenn_outgoing_free(wrenn_outgoing *out);

#endif
