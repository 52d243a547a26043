/*
 * The switch to a WebSocket (RFC 6455 section 4), client side: whether an
 * answer is the one that the request's key asks for. No I/O.
 */
#ifndef WRENN_WS_UPGRADE_H
#define WRENN_WS_UPGRADE_H

#include "answer.h"

/* Appended to the key before it is hashed. */
#define WRENN_WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* Checks an answer that has switched. `accept`: the expected
 * Sec-WebSocket-Accept; `protocols`: the subprotocols asked for, as sent, or
 * NULL. Returns NULL, or what the server did wrong: a constant string. */
const char *wrenn_ws_upgrade_fault(const wrenn_answer *answer,
                                   const char *accept, const char *protocols);

#endif
