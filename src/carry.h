/*
 * Connections that libcurl only makes and holds, for what is no request of its
 * own: a WebSocket, or a tunnel. Internal to those transports.
 */
#ifndef WRENN_CARRY_H
#define WRENN_CARRY_H

#include "connection.h"

/* As wrenn_transfer_prepare, for a transfer whose `done` is set. A proxy is
 * passed by CONNECT, so that the bytes are the caller's own. */
wrenn_status wrenn_carry_prepare(wrenn_loop *loop, wrenn_transfer *transfer,
                                 const char *url, const wrenn_net *net,
                                 const wrenn_deadlines *limits);

/* For `done`: libcurl has connected, through any proxy. From now on events of
 * the socket *fd are for `ready`. False: it has not, and the operation has
 * failed. */
bool wrenn_carry_begin(wrenn_transfer *transfer, CURLcode code,
                       curl_socket_t *fd, wrenn_watch_cb *ready, void *arg);

/* Fills a block as far as possible: data that TLS has buffered does not show at
 * the socket, and comes in records. Behind the *filled bytes: AGAIN, there is
 * no more for now; GOT_NOTHING, the peer has ended; or an error. `to_end`:
 * reads on even if nothing more is to be expected. */
CURLcode wrenn_carry_read(wrenn_transfer *transfer, wrenn_block *block,
                          bool to_end, size_t *filled);

#endif
