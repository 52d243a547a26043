/* One WebSocket: shared by ws.c (messages) and ws_connect.c (getting there).
 * Internal to the WebSocket transport. */
#ifndef WRENN_WS_OP_H
#define WRENN_WS_OP_H

#include <libwebsockets.h>

#include "buf.h"
#include "op.h"
#include "resolve.h"
#include "url.h"
#include "ws_engine.h"

/* A message on its way out. */
typedef struct wrenn_ws_message {
  struct wrenn_ws_message *next;
  size_t len;
  bool binary;
  unsigned char bytes[]; /* LWS_PRE bytes of room, then the message */
} wrenn_ws_message;

typedef struct wrenn_ws_op {
  wrenn_op op; /* first */
  wrenn_ws_engine *engine;

  /* where to */
  wrenn_url url;
  wrenn_url proxy; /* host NULL: none */
  char *ca_file;   /* or NULL */
  bool insecure;
  char **headers; /* "Name: value" lines, NULL at the end */

  /* getting there */
  wrenn_lookup *lookup;   /* under way; or NULL */
  struct addrinfo *found; /* every address of the host */
  struct addrinfo *next;  /* the one to try next */
  struct lws *wsi;        /* the connection; NULL before and after */
  unsigned attempts;      /* connections libwebsockets still holds */
  bool released;          /* the transport's reference has been given back */
  bool inside;            /* a libwebsockets callback of ours is running */
  bool tcp_up;            /* no further address will be tried */
  bool upgrading;         /* the upgrade request is out */
  int refused;            /* HTTP status of an answer that is not 101 */
  char failure[256];      /* the best explanation so far */

  /* messages */
  bool opened;
  bool closing; /* wrenn_ws_close */
  bool flushed; /* everything before the close frame has left */
  bool rx_off;  /* reading is switched off in libwebsockets */
  wrenn_codec codec;
  size_t max_message;
  wrenn_ws_message *out;
  wrenn_ws_message **out_end;
  size_t unsent;
  wrenn_buf partial; /* a message that comes in pieces; a refusal's body */
  int close_code;
  char close_reason[124];
  size_t close_reason_len;

  /* silence */
  uint32_t ping_ms;
  bool want_ping; /* the next write is a ping */
  bool want_pong; /* the next write is a pong that nobody has asked for */
  bool held;      /* reading has been off since the last tick */
  uint64_t heard; /* uv_now of the last byte from the peer */
  uv_timer_t pinger;
  unsigned asked; /* pings since then: time alone does not tell that the peer
                     is silent, we may not have listened */
} wrenn_ws_op;

/* Begins with the host's (or the proxy's) name; goes on in later steps. */
void wrenn_ws_connect(wrenn_ws_op *ws);

/* Tries the next address, or fails the op when there is none. */
void wrenn_ws_connect_next(wrenn_ws_op *ws);

/* What libwebsockets asks while connecting; the return value is its own. */
int wrenn_ws_add_headers(wrenn_ws_op *ws, unsigned char **at, size_t room);
int wrenn_ws_verify(wrenn_ws_op *ws, void *store, bool verified);
int wrenn_ws_answered(wrenn_ws_op *ws, struct lws *wsi);
void wrenn_ws_connect_failed(wrenn_ws_op *ws, const char *text, size_t len);

/* The one callback of every connection. */
int wrenn_ws_callback(struct lws *wsi, enum lws_callback_reasons reason,
                      void *user, void *in, size_t len);

#endif
