/* A WebSocket, as shared by ws.c (the whole), ws_connect.c (connecting),
 * ws_events.c (messages) and ws_out.c (output). Internal to the WebSocket
 * transport. */
#ifndef WRENN_WS_OP_H
#define WRENN_WS_OP_H

#include "connection.h"
#include "ws_frame.h"
#include "ws_upgrade.h"

/* A frame to be sent, or the upgrade request. */
typedef struct wrenn_ws_message {
  struct wrenn_ws_message *next;
  size_t counts; /* number of payload bytes from the user */
  size_t size;
  char bytes[];
} wrenn_ws_message;

typedef enum wrenn_ws_stage {
  WRENN_WS_CONNECTING, /* libcurl is connecting */
  WRENN_WS_UPGRADING,  /* sending the request and reading the answer */
  WRENN_WS_REFUSAL,    /* reading the body of a refusal */
  WRENN_WS_OPEN
} wrenn_ws_stage;

typedef struct wrenn_ws_op {
  wrenn_transfer transfer; /* first */
  wrenn_ws_stage stage;
  curl_socket_t fd;

  /* Connecting. */
  wrenn_ws_message *request; /* NULL once it is being sent */
  wrenn_answer answer;
  char accept[32];
  char *protocols; /* or NULL */

  /* Input. */
  wrenn_codec codec;
  wrenn_ws_reader reader;
  wrenn_buf early;   /* data after the 101 that is not wanted yet */
  bool drained;      /* there is nothing to read until the socket says so */
  wrenn_node *batch; /* messages not yet in the queue; or NULL */

  /* Output. */
  wrenn_ws_message *leaving; /* begun, or tried once: the next to be sent */
  size_t sent;               /* bytes of it sent */
  wrenn_ws_message *out;
  wrenn_ws_message **out_end;
  size_t unsent;
  bool blocked;             /* the connection accepts no data for now */
  bool broken;              /* or never will again */
  bool closing;             /* wrenn_ws_close */
  int close_now;            /* code of a close frame to be sent first */
  bool close_begun;         /* our close frame is the last to be sent */
  unsigned char masks[128]; /* random bytes, for the next frames */
  size_t masks_left;

  /* Keep-alive. */
  uint32_t ping_ms;
  bool want_ping;
  bool want_pong; /* requested, or due as a sign of life while paused */
  char pong[WRENN_WS_CONTROL];
  size_t pong_len;
  bool held;      /* reading has been off since the last tick */
  bool listened;  /* something has been read since then anyway */
  uint64_t heard; /* uv_now of the last byte received */
  uv_timer_t timer;
  unsigned asked; /* pings since then: time alone does not tell that the peer
                     is silent, we may not have listened */
} wrenn_ws_op;

/* ---- ws.c ---------------------------------------------------------------- */

/* Reads and writes as far as possible, and sets the events to wait for. */
void wrenn_ws_turn(wrenn_ws_op *ws);

/* The upgrade has succeeded; these bytes followed it. */
void wrenn_ws_opened(wrenn_ws_op *ws, const char *data, size_t len);

/* ---- ws_connect.c -------------------------------------------------------- */

/* Prepares the transfer and the upgrade request. */
wrenn_status wrenn_ws_prepare(wrenn_loop *loop, wrenn_ws_op *ws,
                              const wrenn_ws_options *options);

/* Handles bytes of the answer. */
void wrenn_ws_answered(wrenn_ws_op *ws, const char *data, size_t len);

/* The connection ended before the upgrade was complete. */
void wrenn_ws_lost_early(wrenn_ws_op *ws);

/* ---- ws_events.c --------------------------------------------------------- */

/* Decodes a message and makes an event of it, which may have to wait for
 * wrenn_ws_emit_rest; or fails the operation. `block` contains the message, and
 * the event may refer to it; or NULL. */
void wrenn_ws_emit(wrenn_ws_op *ws, const wrenn_ws_item *item,
                   wrenn_block *block);

/* Queues what waits: before any other event, and before `block` changes. */
void wrenn_ws_emit_rest(wrenn_ws_op *ws);

/* ---- ws_out.c ------------------------------------------------------------ */

/* Makes a frame; NULL when out of memory or random bytes. */
wrenn_ws_message *wrenn_ws_message_new(wrenn_ws_op *ws, wrenn_ws_opcode opcode,
                                       const void *data, size_t len);

/* Sends as much as the connection accepts. */
void wrenn_ws_flush(wrenn_ws_op *ws);

/* Sends a close frame next, if possible, and nothing after it. */
void wrenn_ws_say_close(wrenn_ws_op *ws, int code);

/* Frees what has not been sent. */
void wrenn_ws_drop_out(wrenn_ws_op *ws);

#endif
