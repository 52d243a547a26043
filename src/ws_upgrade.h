/*
 * The upgrade to a WebSocket (RFC 6455 section 4), client side: the request,
 * and a reader of the answer, which is either the switch or an HTTP answer
 * that refuses it, with a body in any framing. No I/O: bytes in, outcome out.
 */
#ifndef WRENN_WS_UPGRADE_H
#define WRENN_WS_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* Appended to the key before it is hashed. */
#define WRENN_WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

typedef enum wrenn_ws_answer {
  WRENN_WS_WAITING,  /* all input is consumed: more is needed */
  WRENN_WS_SWITCHED, /* what follows belongs to the WebSocket */
  WRENN_WS_REFUSED,  /* status, head and body are complete */
  WRENN_WS_WRONG,    /* `why` says what the server did */
  WRENN_WS_HEAD_TOO_LARGE,
  WRENN_WS_OUT_OF_MEMORY
} wrenn_ws_answer;

typedef struct wrenn_ws_upgrade {
  const char *accept;    /* the expected Sec-WebSocket-Accept; not owned */
  const char *protocols; /* the subprotocols asked for, as sent; NULL: none */
  const char *why;       /* after WRONG; a constant string */
  int status;            /* 0: no answer has begun */
  wrenn_buf head;        /* of the answer: the header lines as received, CRLF */
  wrenn_buf body;        /* of a refusal, without its framing */
  /* the reader's own */
  int stage;
  size_t head_size; /* of all answers, including 1xx */
  wrenn_buf line;
  bool upgrade, connection, accepted;
  bool chunked;
  uint64_t left; /* bytes of the body or chunk to come */
} wrenn_ws_upgrade;

/* Reads *len bytes at *at, and advances both. */
wrenn_ws_answer wrenn_ws_upgrade_read(wrenn_ws_upgrade *upgrade,
                                      const char **at, size_t *len);

/* The connection has ended or the time is over. Returns WRENN_WS_REFUSED if the
 * head of a refusal is complete (`body` is what has arrived), else
 * WRENN_WS_WAITING. */
wrenn_ws_answer wrenn_ws_upgrade_end(const wrenn_ws_upgrade *upgrade);

void wrenn_ws_upgrade_free(wrenn_ws_upgrade *upgrade);

#endif
