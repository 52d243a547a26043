/* The WebSocket side of an upgraded connection, framed by wslay. */
#ifndef WRENN_LOCAL_HTTP_WS_H
#define WRENN_LOCAL_HTTP_WS_H

#include "http/conn.h"

typedef struct ws ws;

typedef struct ws_hooks {
  void (*message)(void *arg, const char *data, size_t len, bool binary);
  void (*drained)(void *arg); /* everything has been sent */
  void (*lost)(void *arg);    /* the connection has ended; the last call */
  void *arg;
  bool deflates;      /* messages are compressed if the client offers it */
  size_t message_max; /* 0: the server's */
} ws_hooks;

/* Answers the upgrade with 101. A message above the limit ends the
 * connection. Returns NULL, and aborts the connection, if the system lacks
 * resources. */
ws *ws_accept(conn *c, const ws_hooks *hooks);

/* Sends a text message; a binary one. */
void ws_send(ws *w, const char *data, size_t len);
void ws_send_binary(ws *w, const char *data, size_t len);

/* The number of bytes that have been accepted and not yet sent. */
size_t ws_unsent(const ws *w);

/* Closes the TCP connection after everything has been sent, without a close
 * frame; `lost` follows. */
void ws_drop(ws *w);

#endif
