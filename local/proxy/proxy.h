/*
 * The port proxy: a request whose host name is that of a capsule's port is
 * passed to the service on that port, and its answer back, both as streams.
 * Each request has its own connection to the service. After a 101 the two
 * connections are a pipe.
 */
#ifndef WRENN_LOCAL_PROXY_PROXY_H
#define WRENN_LOCAL_PROXY_PROXY_H

#include "api/server.h"
#include "proxy/head.h"

/* One side is not read while this much waits for the other. */
#define PROXY_HIGH ((size_t)256 * 1024)

typedef enum proxy_fault {
  PROXY_OK,
  PROXY_PORT,        /* there is no such port */
  PROXY_ID,          /* that is no capsule's id */
  PROXY_UNKNOWN,     /* there is no such capsule */
  PROXY_NOT_RUNNING, /* its status does not allow it */
  PROXY_CUT,         /* it was paused or ended meanwhile */
  PROXY_REFUSED,     /* nothing listens there */
  PROXY_BROKEN,      /* the service gave no HTTP answer */
  PROXY_MEMORY
} proxy_fault;

/* A request. It is referenced by the client's connection, an order to the agent
 * and each open handle. */
typedef struct proxy {
  conn *client; /* NULL once the request is over */
  capsule *capsule;
  session session;
  long port;
  unsigned refs;
  proxy_fault fault;
  unsigned dials;
  uv_timer_t timer; /* for the next dial; later limits the time for the end */

  /* the service */
  uv_pipe_t guest; /* the socket, of any kind */
  outlet out;
  bool connected; /* `guest` is in use */
  bool paused;    /* it is not read while the client is slow */
  bool leaving;   /* the request is over: pending data is still sent */
  parser parser;
  bool begun;    /* the client has the head of the answer */
  bool complete; /* and all of it */
  bool tunnel;   /* after a 101 */
} proxy;

/* The hooks of the HTTP server. Requests that are not for a port are passed to
 * the API. */
bool proxy_wants(const conn *c);
void proxy_begin(conn *c);
void proxy_request(conn *c);

void proxy_unref(proxy *p);

/* Answers with a fault, at once or when the request is complete; aborts an
 * answer that has begun. */
void proxy_fail(proxy *p, proxy_fault fault);

/* guest.c: uses a socket that is connected or connecting, and sends the
 * request's head. Takes ownership of the descriptor. */
void proxy_connect(proxy *p, int fd);

/* Passes on a piece of the request's body; its end. */
void proxy_body_data(conn *c, const char *data, size_t len);
void proxy_body_end(proxy *p);

/* The client accepts data again. */
void proxy_client_drained(conn *c);

/* Closes the connection to the service after pending data has been sent. */
void proxy_leave(proxy *p);

#endif
