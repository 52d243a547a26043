/*
 * The server's connections: HTTP/1.1 requests in,
 * answers out, one at a time; or, after an upgrade, a WebSocket. What requests
 * mean, the hooks know.
 */
#ifndef WRENN_LOCAL_HTTP_CONN_H
#define WRENN_LOCAL_HTTP_CONN_H

#include <stdbool.h>
#include <uv.h>

#include "buf.h"
#include "http/outlet.h"
#include "http/parser.h"
#include "util/list.h"

typedef struct conn conn;
typedef struct http_server http_server;

/* Bodies that are collected; larger ones are refused. */
#define CONN_BODY_MAX ((size_t)64 * 1024 * 1024)
/* What may wait for a client that does not read before nothing more is taken
 * from it; far above what a stream lets wait. */
#define CONN_WAITING_MAX ((size_t)8 * 1024 * 1024)
#define CONN_REQUEST_ID 21 /* "req_", 16 hex digits, NUL */

/* Whoever answers the requests. */
typedef struct http_hooks {
  /* Whether a request may switch to any protocol, not only to WebSockets. */
  bool (*tunnels)(const conn *c);
  /* A request's head is complete: `task` may be set to take the body as it
   * comes, or the request be refused, so that it is not waited for. */
  void (*begin)(conn *c);
  /* The request is complete, or refused: it is to be answered. */
  void (*request)(conn *c);
  /* It is over: frees what is in its context. */
  void (*forget)(conn *c);
} http_hooks;

struct http_server {
  /* Set by the owner before the start. */
  uv_loop_t *loop;
  http_hooks hooks;
  size_t context_size;
  uint64_t open_files; /* how many this process may have */
  uint64_t head_ms;    /* from a request's first byte to the end of its head */
  uint64_t kept_ms;    /* from one request to the next */
  size_t message_max;  /* of a WebSocket's client */
  bool tells_ids;      /* each answer has the id of its request */

  uv_tcp_t listener;
  uv_idle_t turns;     /* for those who want another turn */
  uv_timer_t patience; /* until a connection may be taken that has to wait */
  list conns;
  bool ending;
};

/* What is being done for a request: its state, owned by the handler. */
typedef struct conn_task {
  /* The request's body, when the handler takes it as it comes. */
  void (*data)(conn *c, const char *data, size_t len);
  void (*end)(conn *c);
  /* There is room again for what the handler streams. */
  void (*drained)(conn *c);
  /* The request is over, answered or not: free the state. */
  void (*drop)(conn *c);
  void *state;
} conn_task;

/* Where a connection stands. */
typedef enum conn_stage {
  CONN_NEW,       /* nothing has come yet */
  CONN_KEPT,      /* a request has been answered: another one may come */
  CONN_HEAD,      /* the first byte of a request is there */
  CONN_BODY,      /* its head is complete, its body is not */
  CONN_REQUEST,   /* it is being answered: nothing is parsed */
  CONN_WEBSOCKET, /* its answer was 101: bytes go to `ws` */
  CONN_TUNNEL,    /* the same: bytes go to the task as they are */
  CONN_FINISHED,  /* nothing more is sent, and what comes is thrown away */
  CONN_CLOSED
} conn_stage;

/* What is to become of a request. */
typedef enum conn_verdict {
  CONN_TAKEN,
  CONN_REFUSED, /* so that its body is not waited for */
  CONN_TOO_LARGE
} conn_verdict;

typedef enum conn_answer {
  CONN_UNANSWERED,
  CONN_ANSWERED, /* or on the way, with its length told or by itself */
  CONN_CHUNKED   /* on the way */
} conn_answer;

struct conn {
  list_link link; /* of the server's */
  http_server *server;
  void *context; /* what the hooks know of a request: empty at its begin */
  uv_tcp_t tcp;
  uv_timer_t timer; /* how long a client may take: for what it owes; to hang
                       up when it is finished */
  enum { OWES_NOTHING, OWES_HEAD, OWES_REQUEST } owes;
  unsigned handles;
  conn_stage stage;
  outlet out;
  size_t left; /* unsent, when that was last looked at */

  wrenn_buf input; /* received and not parsed yet */
  bool parsing;    /* request_parse is at work */
  bool held;       /* the request's body is not wanted for now: no reading */
  bool watched;    /* the client is listened to while it waits, so that its
                      hanging up is noticed */
  bool eof;        /* it has */
  bool wants_turn; /* to have `drained` called */

  /* the request */
  parser parser;
  const char *target, *query; /* as text; behind the ?, or "" */
  wrenn_buf body;
  bool upgrade; /* to a WebSocket, in due form */
  conn_verdict verdict;
  conn_task task;
  char request_id[CONN_REQUEST_ID]; /* "": not made yet */

  /* the answer */
  conn_answer answer;
  bool keep_alive;

  struct ws *ws; /* after an upgrade */
};

/* A header's value, cut where it does not fit; "" when there is none. */
void conn_header(const conn *c, const char *name, char *value, size_t size);

/* Refuses the request: it is answered without its body. */
void conn_refuse(conn *c);

/* Begins to serve; listens on an address, port 0 for a free one. Returns the
 * port, or a negative libuv error. */
int http_server_start(http_server *s, const char *address, int port);

/* Descriptors are kept back for what is under way: whether so few are left that
 * none should go into a connection, or into new work. */
typedef enum {
  SPARE_FOR_CONNECTION = 1,
  SPARE_FOR_ANSWER,
  SPARE_FOR_WORK
} spare;
bool http_server_is_full(const http_server *s, spare what);

/* Whether the connection itself has one of the last, and is there only to be
 * told so. */
bool conn_is_spare(const conn *c);

/* Closes the listener and every connection. */
void http_server_end(http_server *s);

/* A whole answer. */
void conn_reply(conn *c, int status, const char *type, const char *body,
                size_t len);

/* A whole answer of JSON, to which a newline is added. Frees the buffer. */
void conn_reply_json(conn *c, int status, wrenn_buf *json);

/* The request's id, where the server tells it. */
const char *conn_request_id(conn *c);

/* A streamed answer: its head, its pieces, its end. With a length of -1 it is
 * sent chunked; else the pieces add up to the length. */
void conn_stream_begin(conn *c, int status, const char *type, int64_t length);
void conn_stream_data(conn *c, const char *data, size_t len);
void conn_stream_end(conn *c);

/* Bytes accepted for this client that have not left yet. */
size_t conn_unsent(const conn *c);

/* Whether so much waits for the client that it is no longer listened to. */
bool conn_clogged(const conn *c);

/* Sends raw bytes, or several pieces as one. Owns nothing. */
void conn_send(conn *c, const char *data, size_t len);
void conn_send_parts(conn *c, const uv_buf_t *parts, unsigned count);

/* Has `drained` called once the others have had their turn. */
void conn_want_turn(conn *c);

/* Takes no more of the request's body until conn_release. */
void conn_hold(conn *c);
void conn_release(conn *c);

/* Has the end of the connection noticed while an answer is streamed that may
 * have nothing to send for long. */
void conn_watch(conn *c);

/* Ends the connection once everything has left: a TCP FIN, and no more. */
void conn_finish(conn *c);

/* Ends the connection at once. */
void conn_abort(conn *c);

/* request.c: parses what has been received, request by request; passes it on
 * where the connection has been upgraded; begins and stops reading as the
 * state wants it; forgets the request. */
bool request_init(conn *c); /* false when memory is out */
void request_parse(conn *c);
void request_pass(conn *c);
void request_read(conn *c);
void request_reset(conn *c);

/* ws.c: bytes of an upgraded connection; its end. */
void ws_receive(struct ws *ws, const char *data, size_t len);
void ws_drained(struct ws *ws);
void ws_lost(struct ws *ws);

#endif
