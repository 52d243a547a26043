/* Sends on a stream: as much as possible at once; the rest is queued. */
#ifndef WRENN_LOCAL_HTTP_OUTLET_H
#define WRENN_LOCAL_HTTP_OUTLET_H

#include <uv.h>

/* The approximate memory of a queued piece besides its bytes. */
#define OUTLET_COST 256

typedef struct outlet {
  uv_stream_t *to;
  unsigned writes; /* queued pieces; the outlet must outlive them */
  /* A queued piece has been sent, or has failed (a negative libuv error). */
  void (*written)(void *arg, int status);
  void *arg;
} outlet;

/* Sends several pieces as one. Copies what has to be queued. Returns 0 or a
 * negative libuv error. */
int outlet_send(outlet *o, const uv_buf_t *parts, unsigned count);

#endif
