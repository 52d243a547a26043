/*
 * The only place that makes connections: every connection of a loop, for a
 * request or a WebSocket, belongs to libcurl and is set up here. So names,
 * addresses, proxies, trust, TLS versions, the time to connect and descriptors
 * follow one rule. Internal to the transports.
 *
 * A transport embeds wrenn_transfer as its first member, gets a handle from
 * wrenn_transfer_prepare, adds its own options, and passes it to libcurl with
 * wrenn_transfer_go once the operation has started.
 */
#ifndef WRENN_CONNECTION_H
#define WRENN_CONNECTION_H

#include <curl/curl.h>
#include <netinet/in.h>

#include "buf.h"
#include "op.h"

#define WRENN_SPARE_HANDLES 16
/* The maximum number of bytes read from a connection at once. Each read of a
 * full socket lets the peer send on, which costs more than the read. */
#define WRENN_READ_SIZE ((size_t)512 * 1024)
/* The same for bodies, of which libcurl 8.14 may read ten times as much before
 * it can be told to hold back. */
#define WRENN_BODY_SIZE ((size_t)128 * 1024)

typedef struct wrenn_watch wrenn_watch;

typedef struct wrenn_engine wrenn_engine;

/* A handle and the URL that it is for: parsing one is slow, and most differ in
 * their path only. */
typedef struct wrenn_handle {
  CURL *easy;
  CURLU *url;
  char *origin; /* of the URL: scheme and authority; or NULL */
} wrenn_handle;

typedef struct wrenn_transfer {
  wrenn_op op; /* first */
  wrenn_engine *engine;
  CURL *easy; /* NULL after the end */
  wrenn_handle handle;
  bool special;    /* the handle has options that not every transfer sets */
  bool begun;      /* wrenn_transfer_go */
  bool well;       /* it has ended well, so that the handle may serve again */
  bool reached;    /* libcurl has connected */
  bool held;       /* nothing is read for it: see wrenn_watch_hold */
  bool connecting; /* in the engine's list */
  struct wrenn_transfer *next_connecting;
  bool carries; /* only connects, and holds the connection until the end */
  bool tls;     /* the connection may be encrypted, to the host or a proxy */
  /* libcurl has finished with the handle: the answer is complete, the
   * connection is made, or the transfer has failed. */
  void (*done)(struct wrenn_transfer *transfer, CURLcode code);
  wrenn_status error;   /* why a callback stopped libcurl; or OK */
  curl_socket_t socket; /* the newest one in use; 0: none yet */
  uint32_t owner;       /* the connection's owner while it is kept */
  bool keep_unread; /* what is unread when a connection is closed goes here: */
  wrenn_buf unread;
  char message[CURL_ERROR_SIZE];
} wrenn_transfer;

struct wrenn_engine {
  wrenn_loop *loop;
  CURLM *multi;
  uv_timer_t timer;
  uv_timer_t idle_timer;      /* idle.c */
  wrenn_transfer broom;       /* idle.c */
  bool sweeping;              /* the broom is in use by libcurl */
  wrenn_transfer *connecting; /* have a socket, not connected yet */
  uv_timer_t nudge;
  bool closing;
  bool tls_raises;       /* what is sent over TLS may raise SIGPIPE */
  unsigned open_handles; /* libuv handles closing or to be closed */
  wrenn_handle spare[WRENN_SPARE_HANDLES]; /* creating one is slow */
  size_t spare_count;
  wrenn_watch **watches; /* of sockets that stay open, by descriptor */
  size_t watch_count;
  long carrying;      /* connections that transfers hold until their end */
  wrenn_block *block; /* see wrenn_engine_block; or NULL */
};

/* ---- connection.c -------------------------------------------------------- */

/* Whether a transport accepts a URL: it has one of the two schemes ("http",
 * "https" or "ws", "wss"), no spaces and no control characters. */
bool wrenn_url_ok(const char *url, const char *scheme);

/* Whether a "Name: value" line may be sent. */
bool wrenn_header_line_ok(const char *line);

/* Gives a zeroed transfer a handle that connects to the URL as `net` and
 * `limits` say. After a failure there is nothing to clean up. */
wrenn_status wrenn_transfer_prepare(wrenn_loop *loop, wrenn_transfer *transfer,
                                    const char *url, const wrenn_net *net,
                                    const wrenn_deadlines *limits);

/* Starts the transfer; fails the operation if libcurl refuses. */
void wrenn_transfer_go(wrenn_transfer *transfer);

/* The same, and sends what can be sent at once. The operation may have ended
 * then. */
void wrenn_transfer_send(wrenn_transfer *transfer);

/* Starts again on a new connection; nothing has been sent. */
void wrenn_transfer_renew(wrenn_transfer *transfer);

/* Takes the handle back from libcurl, started or not. May be called again. */
void wrenn_transfer_end(wrenn_transfer *transfer);

/* Fails the operation of a transfer that did not end well. A failure that did
 * not happen while connecting is reported as `otherwise`. */
void wrenn_transfer_fail(wrenn_transfer *transfer, CURLcode code,
                         wrenn_status otherwise);

/* Reports a socket event to libcurl, and ends the transfers it completes. */
void wrenn_engine_act(wrenn_engine *engine, curl_socket_t fd, int events);

/* Returns a block of WRENN_READ_SIZE bytes that is not shared, or NULL when
 * out of memory. To keep a part of it, take a reference. */
wrenn_block *wrenn_engine_block(wrenn_engine *engine);

/* One of the `open_handles` has been closed. */
void wrenn_engine_release(wrenn_engine *engine);

/* ---- watch.c ------------------------------------------------------------- */

/* The events of a socket: UV_READABLE, UV_WRITABLE. A broken socket is readable
 * too; reading then returns the error. */
typedef void wrenn_watch_cb(void *arg, int events);

struct wrenn_watch {
  uv_poll_t poll;
  wrenn_engine *engine;
  curl_socket_t fd;
  int wanted;            /* the events libcurl waits for; 0: none for now */
  int watched;           /* the events libuv watches for */
  wrenn_watch_cb *ready; /* the socket's present user; NULL: libcurl */
  void *arg;
  /* Used by idle.c. */
  wrenn_transfer *user; /* NULL: idle, or not in use yet */
  uint64_t since;       /* uv_now when it became idle; 0: in use */
  uint32_t owner;       /* idle: its last user's */
  int port;             /* the local port; 0: not known yet */
  int peer_port;        /* with it: the other end's, and its address */
  char peer[INET6_ADDRSTRLEN];
  bool doomed;  /* not to be kept */
  bool dropped; /* ended; libcurl has to be told */
};

/* A socket has been opened for a connection. It stays watched across transfers
 * until wrenn_watch_close. False: out of memory or of system resources. */
bool wrenn_watch_open(wrenn_engine *engine, curl_socket_t fd);

/* Stops reading for a transfer whose data libcurl has been told to hold back;
 * reads on. libcurl 8.5 keeps asking for such a socket to be read, collects
 * what comes, and fails the transfer when that is 64 MiB. */
void wrenn_watch_hold(wrenn_transfer *transfer, bool held);

/* Ends the watch of a descriptor, if there is any. */
void wrenn_watch_forget(wrenn_engine *engine, curl_socket_t fd);

/* Makes libuv watch for exactly these events. */
void wrenn_watch_for(wrenn_watch *watch, int events);

/* Passes a connected socket from libcurl to another user, who calls
 * wrenn_watch_want to wait for events until it is closed. False: it is not
 * watched. */
bool wrenn_watch_take(wrenn_engine *engine, curl_socket_t fd,
                      wrenn_watch_cb *ready, void *arg);
void wrenn_watch_want(wrenn_engine *engine, curl_socket_t fd, int events);

/* Callbacks for libcurl; the last argument but one, or the first, is the
 * engine. */
int wrenn_watch_change(CURL *easy, curl_socket_t fd, int what, void *arg,
                       void *socket_arg);
int wrenn_watch_close(void *arg, curl_socket_t fd);

/* Closes what is left after libcurl has been cleaned up. */
void wrenn_watch_close_all(wrenn_engine *engine);

/* ---- idle.c -------------------------------------------------------------- */

void wrenn_idle_init(wrenn_engine *engine);
void wrenn_idle_free(wrenn_engine *engine);

/* A transfer starts to use a connection; it has ended, and libcurl keeps the
 * socket `kept`, or CURL_SOCKET_BAD. */
void wrenn_idle_end(wrenn_watch *watch, wrenn_transfer *transfer);
void wrenn_idle_begin(wrenn_transfer *transfer, curl_socket_t kept);

/* Handles an event of an idle connection. */
void wrenn_idle_event(wrenn_watch *watch, int status);

/* A transfer is about to use the connection between these ports, with a peer at
 * this address. If it is a kept one, it is idle no more: libcurl may not wait
 * for its socket at all where the answer is there at once.
 * False: it is unusable: the server has closed it, or has sent unrequested
 * data, which would be taken for the next answer. */
bool wrenn_idle_take(wrenn_transfer *transfer, const char *peer, int peer_port,
                     int port);

#endif
