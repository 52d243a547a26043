/* One WebSocket: shared by ws.c (messages), ws_connect.c (getting there) and
 * ws_out.c (what leaves). Internal to the WebSocket transport. */
#ifndef WRENN_WS_OP_H
#define WRENN_WS_OP_H

#include "connection.h"
#include "ws_frame.h"
#include "ws_upgrade.h"

/* A whole frame on its way out, or the upgrade request. */
typedef struct wrenn_ws_message {
  struct wrenn_ws_message *next;
  size_t counts; /* bytes of the user's in it */
  size_t size;
  char bytes[];
} wrenn_ws_message;

typedef enum wrenn_ws_stage {
  WRENN_WS_CONNECTING, /* libcurl is at work */
  WRENN_WS_UPGRADING,  /* the request leaves, the answer comes */
  WRENN_WS_REFUSAL,    /* the answer's body comes */
  WRENN_WS_OPEN
} wrenn_ws_stage;

typedef struct wrenn_ws_op {
  wrenn_transfer transfer; /* first */
  wrenn_ws_stage stage;
  curl_socket_t fd;

  /* getting there */
  wrenn_ws_message *request; /* NULL once it leaves */
  wrenn_ws_upgrade upgrade;
  char accept[32];
  char *protocols; /* or NULL */

  /* in */
  wrenn_codec codec;
  wrenn_ws_reader reader;
  wrenn_buf early; /* what came behind the 101 while nobody wanted it */

  /* out */
  wrenn_ws_message *leaving; /* begun, or tried once: the next to be sent */
  size_t sent;               /* of it */
  wrenn_ws_message *out;
  wrenn_ws_message **out_end;
  size_t unsent;
  bool blocked;     /* the connection takes no more for now */
  bool broken;      /* or never again */
  bool closing;     /* wrenn_ws_close */
  int close_now;    /* code of a close frame that leaves before all else */
  bool close_begun; /* our close frame is the last that leaves */
  unsigned char masks[128]; /* random bytes, for the next frames */
  size_t masks_left;

  /* silence */
  uint32_t ping_ms;
  bool want_ping;
  bool want_pong; /* asked for, or a sign of life while paused */
  char pong[WRENN_WS_CONTROL];
  size_t pong_len;
  bool held;      /* reading has been off since the last tick */
  bool listened;  /* something has been read since then all the same */
  uint64_t heard; /* uv_now of the last byte from the peer */
  uv_timer_t timer;
  unsigned asked; /* pings since then: time alone does not tell that the peer
                     is silent, we may not have listened */
} wrenn_ws_op;

/* ---- ws.c ---------------------------------------------------------------- */

/* Reads and writes what can be, and says what to wait for. */
void wrenn_ws_turn(wrenn_ws_op *ws);

/* The upgrade is through; these bytes came behind it. */
void wrenn_ws_opened(wrenn_ws_op *ws, const char *data, size_t len);

/* ---- ws_connect.c -------------------------------------------------------- */

/* Prepares the transfer and the upgrade request. */
wrenn_status wrenn_ws_prepare(wrenn_loop *loop, wrenn_ws_op *ws,
                              const wrenn_ws_options *options);

/* Bytes of the answer have come. */
void wrenn_ws_answered(wrenn_ws_op *ws, const char *data, size_t len);

/* The connection ended before it was a WebSocket. */
void wrenn_ws_lost_early(wrenn_ws_op *ws);

/* ---- ws_out.c ------------------------------------------------------------ */

/* Makes a frame; NULL when out of memory or of random bytes. */
wrenn_ws_message *wrenn_ws_message_new(wrenn_ws_op *ws, wrenn_ws_opcode opcode,
                                       const void *data, size_t len);

/* Sends what the connection takes. */
void wrenn_ws_flush(wrenn_ws_op *ws);

/* Has a close frame leave now, if it can, and nothing after it. */
void wrenn_ws_say_close(wrenn_ws_op *ws, int code);

/* Frees what has not left. */
void wrenn_ws_drop_out(wrenn_ws_op *ws);

#endif
