/*
 * The one maker of connections: every connection of a loop, of a request or a
 * WebSocket, is libcurl's and is set up here. Names, addresses, proxies,
 * trust, TLS versions, time to connect and descriptors so follow one rule.
 * Internal to the transports.
 *
 * A transport embeds wrenn_transfer as its first member, gets a handle by
 * wrenn_transfer_prepare, adds what is its own, and hands it to libcurl by
 * wrenn_transfer_go once the operation has started.
 */
#ifndef WRENN_CONNECTION_H
#define WRENN_CONNECTION_H

#include <curl/curl.h>

#include "op.h"

#define WRENN_SPARE_HANDLES 16
/* Bytes that are read from a connection at once. */
#define WRENN_READ_SIZE ((size_t)128 * 1024)
/* The same where events may keep what was read. */
#define WRENN_BLOCK_SIZE ((size_t)256 * 1024)

typedef struct wrenn_watch wrenn_watch;

typedef struct wrenn_engine wrenn_engine;

typedef struct wrenn_transfer {
  wrenn_op op; /* first */
  wrenn_engine *engine;
  CURL *easy;      /* NULL once it has ended */
  bool special;    /* the handle has options that not every transfer sets */
  bool begun;      /* wrenn_transfer_go */
  bool reached;    /* libcurl has connected */
  bool connecting; /* in the engine's list */
  struct wrenn_transfer *next_connecting;
  bool carries; /* only connects, and keeps the connection to its end */
  /* libcurl is through with the handle: the answer is complete, or what was
   * to be connected is connected, or it failed. */
  void (*done)(struct wrenn_transfer *transfer, CURLcode code);
  wrenn_status error;   /* why a callback has stopped libcurl; or OK */
  curl_socket_t socket; /* the newest that it uses; 0: none yet */
  uint32_t owner;       /* of the connection, once it is kept */
  char message[CURL_ERROR_SIZE];
} wrenn_transfer;

struct wrenn_engine {
  wrenn_loop *loop;
  CURLM *multi;
  uv_timer_t timer;
  uv_timer_t idle_timer;      /* idle.c */
  wrenn_transfer broom;       /* idle.c */
  bool sweeping;              /* the broom is with libcurl */
  wrenn_transfer *connecting; /* those that have opened a socket, and wait */
  uv_timer_t nudge;
  bool closing;
  unsigned open_handles; /* libuv handles whose close is under way or due */
  CURL *spare[WRENN_SPARE_HANDLES]; /* prepared: making one is slow */
  size_t spare_count;
  wrenn_watch **watches; /* of the sockets that stay open, by descriptor */
  size_t watch_count;
  long carrying;      /* connections that transfers keep to their end */
  wrenn_block *block; /* see wrenn_engine_block; or NULL */
};

/* ---- connection.c -------------------------------------------------------- */

/* Whether a URL may be given to a transport: one of the two schemes ("http",
 * "https" or "ws", "wss"), no spaces, no control characters. */
bool wrenn_url_ok(const char *url, const char *scheme);

/* Whether a "Name: value" line is fit to be sent. */
bool wrenn_header_line_ok(const char *line);

/* Gives a zeroed transfer a handle that would connect to the URL as `net` and
 * `limits` say. On failure nothing is left to be ended. */
wrenn_status wrenn_transfer_prepare(wrenn_loop *loop, wrenn_transfer *transfer,
                                    const char *url, const wrenn_net *net,
                                    const wrenn_deadlines *limits);

/* Lets libcurl begin; fails the operation when it does not want to. */
void wrenn_transfer_go(wrenn_transfer *transfer);

/* Lets libcurl begin again, on a new connection; nothing has been sent. */
void wrenn_transfer_renew(wrenn_transfer *transfer);

/* Takes the handle back from libcurl, begun or not. Again does nothing. */
void wrenn_transfer_end(wrenn_transfer *transfer);

/* Fails the operation for a transfer that did not end well. What is not the
 * connection's making becomes `otherwise`. */
void wrenn_transfer_fail(wrenn_transfer *transfer, CURLcode code,
                         wrenn_status otherwise);

/* Tells libcurl what happened to a socket, and ends what that has finished. */
void wrenn_engine_act(wrenn_engine *engine, curl_socket_t fd, int events);

/* Room for WRENN_BLOCK_SIZE bytes, which belongs to nobody else; NULL when out
 * of memory. Whoever keeps a part of it takes a reference. */
wrenn_block *wrenn_engine_block(wrenn_engine *engine);

/* One of the `open_handles` is closed. */
void wrenn_engine_release(wrenn_engine *engine);

/* ---- watch.c ------------------------------------------------------------- */

/* What a socket is ready for: UV_READABLE, UV_WRITABLE; readable as well when
 * it is broken, which reading tells. */
typedef void wrenn_watch_cb(void *arg, int events);

struct wrenn_watch {
  uv_poll_t poll;
  wrenn_engine *engine;
  curl_socket_t fd;
  int wanted;            /* what libcurl wants to hear of; 0: nothing for now */
  int watched;           /* what libuv watches for */
  wrenn_watch_cb *ready; /* whose socket it is now; NULL: libcurl's */
  void *arg;
  /* What idle.c knows of it. */
  const wrenn_transfer *user; /* NULL: idle, or nobody's yet */
  uint64_t since;             /* idle: uv_now when it became so; else 0 */
  uint32_t owner;             /* idle: of the transfer that used it last */
  int port;                   /* this end's; 0: not asked for yet */
  bool doomed;                /* not to be kept */
  bool dropped;               /* ended, and libcurl has to be told */
};

/* A socket has been opened for a connection, and stays watched from transfer
 * to transfer until wrenn_watch_close. False: out of memory or of system. */
bool wrenn_watch_open(wrenn_engine *engine, curl_socket_t fd);

/* Ends the watch of a descriptor, if there is one. */
void wrenn_watch_forget(wrenn_engine *engine, curl_socket_t fd);

/* Has libuv watch for these events and no others. */
void wrenn_watch_for(wrenn_watch *watch, int events);

/* Gives a connected socket to someone else than libcurl, who says what to wait
 * for by wrenn_watch_want, until it is closed. False: it is not watched. */
bool wrenn_watch_take(wrenn_engine *engine, curl_socket_t fd,
                      wrenn_watch_cb *ready, void *arg);
void wrenn_watch_want(wrenn_engine *engine, curl_socket_t fd, int events);

/* Callbacks of libcurl's; the last argument but one, or the first, is the
 * engine. */
int wrenn_watch_change(CURL *easy, curl_socket_t fd, int what, void *arg,
                       void *socket_arg);
int wrenn_watch_close(void *arg, curl_socket_t fd);

/* Ends what is left once libcurl is done. */
void wrenn_watch_close_all(wrenn_engine *engine);

/* ---- idle.c -------------------------------------------------------------- */

void wrenn_idle_init(wrenn_engine *engine);
void wrenn_idle_free(wrenn_engine *engine);

/* A transfer uses a connection from here on; it is over, and this is what
 * libcurl has kept of it, or CURL_SOCKET_BAD. */
void wrenn_idle_end(wrenn_watch *watch, wrenn_transfer *transfer);
void wrenn_idle_begin(wrenn_transfer *transfer, curl_socket_t kept);

/* Something has happened to an idle connection. */
void wrenn_idle_event(wrenn_watch *watch, int status);

/* Whether the kept connection from this port, which a transfer is about to use,
 * must not be used: the server has ended it, or has sent what nobody asked for,
 * which would be taken for the next answer. */
bool wrenn_idle_is_stale(const wrenn_engine *engine, int port);

#endif
