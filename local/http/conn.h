/*
 * The server's connections. Each one receives HTTP/1.1 requests and sends
 * answers, one at a time; after an upgrade it is a WebSocket. The hooks know
 * what the requests mean.
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

/* The most that is received at once. */
#define CONN_READ_SIZE ((size_t)64 * 1024)
/* The maximum size of a body that is collected in memory. */
#define CONN_BODY_MAX ((size_t)64 * 1024 * 1024)
/* If more than this is unsent, the connection is not read. Streams stop far
 * below it. */
#define CONN_WAITING_MAX ((size_t)8 * 1024 * 1024)
#define CONN_REQUEST_ID 21 /* "req_", 16 hex digits, NUL */

/* Callbacks of the owner, which answers the requests. */
typedef struct http_hooks {
  /* Whether a request may switch to any protocol, not only to WebSockets. */
  bool (*tunnels)(const conn *c);
  /* A request's head is complete. May set `task` to receive the body in pieces,
   * or refuse the request so that its body is not read. */
  void (*begin)(conn *c);
  /* The request is complete or refused, and has to be answered. */
  void (*request)(conn *c);
  /* The request is over: frees the contents of its context. */
  void (*forget)(conn *c);
} http_hooks;

struct http_server {
  /* Set by the owner before the start. */
  uv_loop_t *loop;
  http_hooks hooks;
  size_t context_size;
  uint64_t open_files; /* the process's limit */
  uint64_t head_ms;    /* from a request's first byte to the end of its head;
                          and without a byte of a body that is collected */
  uint64_t kept_ms;    /* from one request to the next */
  size_t message_max;  /* the maximum size of a WebSocket client's message */
  bool tells_ids;      /* each answer contains the id of its request */

  uv_tcp_t listener;
  uv_idle_t turns;     /* runs while connections want another turn */
  uv_timer_t patience; /* until a pending connection is tried again */
  char *scratch;       /* what is received, until it is parsed */
  size_t heads;        /* the memory that unfinished heads take */
  bool has_warned;     /* that descriptors become few */
  list conns;
  bool ending;
};

/* The work on a request. The handler owns `state`. */
typedef struct conn_task {
  /* Receives the request's body in pieces; then its end. */
  void (*data)(conn *c, const char *data, size_t len);
  void (*end)(conn *c);
  /* Everything sent so far has left: the handler may send more. */
  void (*drained)(conn *c);
  /* The request is over, answered or not: free the state. */
  void (*drop)(conn *c);
  void *state;
} conn_task;

/* The stages of a connection. */
typedef enum conn_stage {
  CONN_NEW,       /* nothing has been received */
  CONN_KEPT,      /* a request has been answered, the next one may follow */
  CONN_HEAD,      /* the first byte of a request has been received */
  CONN_BODY,      /* its head is complete, its body is not */
  CONN_REQUEST,   /* it is being answered: nothing is parsed */
  CONN_WEBSOCKET, /* its answer was 101: bytes go to `ws` */
  CONN_TUNNEL,    /* the same: bytes go to the task as they are */
  CONN_FINISHED,  /* nothing more is sent, and what is received is discarded */
  CONN_CLOSED
} conn_stage;

/* How a request is treated. */
typedef enum conn_verdict {
  CONN_TAKEN,
  CONN_REFUSED, /* its body is not read */
  CONN_TOO_LARGE
} conn_verdict;

typedef enum conn_answer {
  CONN_UNANSWERED,
  CONN_ANSWERED, /* complete, or being sent with a known length or until the end
                  */
  CONN_CHUNKED   /* on the way */
} conn_answer;

/* When a connection is read. */
typedef enum conn_reading {
  CONN_READS,  /* when its stage allows it; not while a request is answered */
  CONN_HELD,   /* not at all: the request's body has to wait */
  CONN_WATCHED /* also while a request is answered, to notice a hang-up */
} conn_reading;

struct conn {
  list_link link; /* of the server's */
  http_server *server;
  void *context; /* the hooks' data about a request; zeroed at its start */
  uv_tcp_t tcp;
  uv_timer_t timer; /* limits the time for what the client owes, or for hanging
                       up after the end */
  enum { OWES_NOTHING, OWES_HEAD, OWES_REQUEST, OWES_BODY } owes;
  uint64_t owes_since;
  size_t head_size; /* its part of the server's `heads` */
  unsigned handles;
  conn_stage stage;
  outlet out;
  size_t left; /* unsent bytes at the last check */

  wrenn_buf input; /* received and not parsed yet */
  conn_reading reading;
  bool parsing;    /* request_parse is running */
  bool eof;        /* the client has hung up */
  bool wants_turn; /* `drained` is to be called */

  /* the request */
  parser parser;
  const char *target, *query; /* the target, and what follows its ?, or "" */
  wrenn_buf body;
  bool upgrade; /* a valid request for a WebSocket */
  conn_verdict verdict;
  conn_task task;
  char request_id[CONN_REQUEST_ID]; /* "": not made yet */

  /* the answer */
  conn_answer answer;
  bool keep_alive;

  struct ws *ws; /* after an upgrade */
};

/* Copies a header's value, truncated if it does not fit; "" if there is none.
 */
void conn_header(const conn *c, const char *name, char *value, size_t size);

/* Refuses the request: it is answered without reading its body. */
void conn_refuse(conn *c);

/* Starts listening on an address; port 0 chooses a free one. Returns the port,
 * or a negative libuv error. */
int http_server_start(http_server *s, const char *address, int port);

/* Some descriptors are reserved for work in progress. Returns whether too few
 * are left for a new connection, an answer, or new work. */
typedef enum {
  SPARE_FOR_CONNECTION = 1,
  SPARE_FOR_ANSWER,
  SPARE_FOR_WORK
} spare;
bool http_server_is_full(http_server *s, spare what);

/* Whether the connection uses one of the reserved descriptors, and can only be
 * told that there are too few. */
bool conn_is_spare(const conn *c);

/* Closes the listener and every connection. */
void http_server_end(http_server *s);

/* A whole answer. */
void conn_reply(conn *c, int status, const char *type, const char *body,
                size_t len);

/* A whole answer of JSON, to which a newline is added. Frees the buffer. */
void conn_reply_json(conn *c, int status, wrenn_buf *json);

/* Returns the request's id; creates it if necessary. */
const char *conn_request_id(conn *c);

/* Sends a streamed answer: its head, its pieces, its end. With a length of -1
 * it is chunked; otherwise the pieces must add up to the length. */
void conn_stream_begin(conn *c, int status, const char *type, int64_t length);
void conn_stream_data(conn *c, const char *data, size_t len);
void conn_stream_end(conn *c);

/* The number of bytes that have been accepted and not yet sent. */
size_t conn_unsent(const conn *c);

/* Whether so much is unsent that the connection is not read. */
bool conn_clogged(const conn *c);

/* Sends raw bytes, or several pieces as one. Owns nothing. */
void conn_send(conn *c, const char *data, size_t len);
void conn_send_parts(conn *c, const uv_buf_t *parts, unsigned count);

/* Calls `drained` after the other connections have had their turn. */
void conn_want_turn(conn *c);

/* Stops reading the request's body until conn_release. */
void conn_hold(conn *c);
void conn_release(conn *c);

/* Reads from the client while its request is answered, to notice when it hangs
 * up. For answers that may send nothing for a long time. */
void conn_watch(conn *c);

/* Ends the connection after everything has been sent, with a TCP FIN. */
void conn_finish(conn *c);

/* Ends the connection at once. */
void conn_abort(conn *c);

/* request.c: parses received data, request by request; passes it on after an
 * upgrade; starts or stops reading, depending on the state; resets the request.
 */
bool request_init(conn *c); /* false if memory is out */
void request_parse(conn *c);
void request_pass(conn *c);
void request_read(conn *c);
void request_reset(conn *c);

/* doors.c: closes the connection that has kept the server waiting for longest;
 * false if none has waited for long. Counts the memory of an unfinished head,
 * and closes connections if all of them take too much, perhaps this one;
 * forgets it. */
bool doors_make_room(http_server *s);
void doors_count_head(conn *c);
void doors_forget_head(conn *c);

/* ws.c: received data of an upgraded connection; everything has been sent; the
 * connection has ended. */
void ws_receive(struct ws *ws, const char *data, size_t len);
void ws_drained(struct ws *ws);
void ws_lost(struct ws *ws);

#endif
