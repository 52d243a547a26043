/*
 * Host names to addresses without waiting. Internal.
 *
 * getaddrinfo can take half a minute and cannot be interrupted. uv_getaddrinfo
 * would make the end of a loop wait for it; here each look-up runs in a
 * detached thread that a loop can walk away from.
 */
#ifndef WRENN_RESOLVE_H
#define WRENN_RESOLVE_H

#include <netdb.h>

#include "loop.h"

typedef struct wrenn_lookup wrenn_lookup;

/* The answer: `list` is the receiver's, to be freed with freeaddrinfo, or NULL
 * with `why` (a constant string). */
typedef void wrenn_lookup_cb(void *arg, struct addrinfo *list, const char *why);

/* Looks up a host for TCP. Numeric addresses and localhost names need no
 * thread. The callback runs in a later step, unless cancelled. NULL when the
 * system has no memory or thread to give. */
wrenn_lookup *wrenn_lookup_start(wrenn_loop *loop, const char *host, int port,
                                 wrenn_lookup_cb *done, void *arg);

/* Forgets a look-up whose callback has not run. */
void wrenn_lookup_cancel(wrenn_loop *loop, wrenn_lookup *lookup);

/* Hands out the answers that have come in. */
void wrenn_lookups_done(wrenn_loop *loop);

/* Forgets all of them: their threads end on their own. */
void wrenn_lookups_abandon(wrenn_loop *loop);

#endif
