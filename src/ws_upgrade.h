/*
 * A WebSocket's upgrade (RFC 6455 section 4) as a client asks for it and reads
 * the answer: the switch, or an HTTP answer that refuses it, with its body
 * however that is framed. No I/O: bytes in, outcome out.
 */
#ifndef WRENN_WS_UPGRADE_H
#define WRENN_WS_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* What is appended to the key before it is hashed. */
#define WRENN_WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

typedef enum wrenn_ws_answer {
  WRENN_WS_WAITING,  /* all bytes are used up: more have to come */
  WRENN_WS_SWITCHED, /* what follows is the WebSocket's */
  WRENN_WS_REFUSED,  /* status, head and body are complete */
  WRENN_WS_WRONG,    /* `why` says what the server did */
  WRENN_WS_HEAD_TOO_LARGE,
  WRENN_WS_OUT_OF_MEMORY
} wrenn_ws_answer;

typedef struct wrenn_ws_upgrade {
  const char *accept;    /* what Sec-WebSocket-Accept has to be; not owned */
  const char *protocols; /* the subprotocols asked for, as sent; NULL: none */
  const char *why;       /* after WRONG; a constant string */
  int status;            /* 0: no answer has begun */
  wrenn_buf head;        /* of the answer: the header lines as received, CRLF */
  wrenn_buf body;        /* of a refusal, without its framing */
  /* the reader's own */
  int stage;
  size_t head_size; /* of all answers, the 1xx included */
  wrenn_buf line;
  bool upgrade, connection, accepted;
  bool chunked;
  uint64_t left; /* bytes of the body or chunk still to come */
} wrenn_ws_upgrade;

/* Reads on at *at, where *len bytes are, and moves both on. */
wrenn_ws_answer wrenn_ws_upgrade_read(wrenn_ws_upgrade *upgrade,
                                      const char **at, size_t *len);

/* The connection has ended, or time is over: WRENN_WS_REFUSED when a refusal's
 * head is complete (and `body` what there is), WRENN_WS_WAITING otherwise. */
wrenn_ws_answer wrenn_ws_upgrade_end(const wrenn_ws_upgrade *upgrade);

void wrenn_ws_upgrade_free(wrenn_ws_upgrade *upgrade);

#endif
