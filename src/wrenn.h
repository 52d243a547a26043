/*
 * libwrenn: HTTP and WebSocket operations behind one queue and one fd.
 *
 * Commands go in (wrenn_http_start, wrenn_ws_open, ...), events come out of
 * wrenn_loop_next. No function but wrenn_loop_wait blocks, none calls back,
 * nothing happens outside wrenn_loop_step. A host waits until the loop's fd
 * is readable or its timeout has passed, steps, and takes the events:
 *
 *   while (!done) {
 *     wrenn_loop_wait(loop, -1);             or poll(wrenn_loop_fd(loop)) ...
 *     while (wrenn_loop_next(loop, &event))  ... and wrenn_loop_step(loop)
 *       handle(&event);
 *   }
 *
 * Each operation ends with exactly one terminal event: DONE, CLOSED, FIRED or
 * FAILED. A loop belongs to one thread and one process; two loops do not know
 * each other. Strings and bytes that go in are copied. Times are
 * milliseconds; 0 means none.
 */
#ifndef WRENN_H
#define WRENN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WRENN_VERSION "0.1.0"
#define WRENN_API __attribute__((visibility("default")))

typedef struct wrenn_loop wrenn_loop;

/* Names one operation of one loop. Never 0, never used twice by a loop, so a
 * stale id is harmless: every call with it returns WRENN_E_CLOSED. Fits a
 * double exactly. */
typedef uint64_t wrenn_id;

typedef enum wrenn_status {
  WRENN_OK,
  WRENN_E_ARGUMENT,  /* the caller's mistake: see the function */
  WRENN_E_MEMORY,    /* out of memory */
  WRENN_E_CLOSED,    /* no such operation, or it has ended */
  WRENN_E_FORKED,    /* the loop belongs to another process */
  WRENN_E_SYSTEM,    /* the system refused (file descriptors, threads) */
  WRENN_E_RESOLVE,   /* the host name has no address */
  WRENN_E_CONNECT,   /* refused, unreachable, reset: nothing was answered */
  WRENN_E_TLS,       /* handshake or verification failed */
  WRENN_E_TIMEOUT,   /* a deadline passed; the message says which */
  WRENN_E_BROKEN,    /* the connection ended inside an answer */
  WRENN_E_PROTOCOL,  /* the answer is not what the protocol allows */
  WRENN_E_TOO_LARGE, /* an answer or message is over its limit */
  WRENN_E_REFUSED,   /* a WebSocket upgrade got an HTTP answer: see status */
  WRENN_E_CANCELLED  /* wrenn_cancel */
} wrenn_status;

/* A short constant text for a status. */
WRENN_API const char *wrenn_strerror(wrenn_status status);

/* ---- loop ---------------------------------------------------------------- */

/* Makes a loop; NULL with *why set on failure. Free with wrenn_loop_free. */
WRENN_API wrenn_loop *wrenn_loop_new(wrenn_status *why);

/* Closes every connection, drops every event and frees the loop. Never waits
 * for the network. In a forked child it does nothing, because what the loop
 * holds is shared with the parent. NULL is allowed. */
WRENN_API void wrenn_loop_free(wrenn_loop *loop);

/* Readable when a step has something to do. The same for the loop's life. */
WRENN_API int wrenn_loop_fd(const wrenn_loop *loop);

/* Milliseconds until a step is due even if the fd stays silent; -1 for never.
 * Ask again after every call into the library. */
WRENN_API int wrenn_loop_timeout(const wrenn_loop *loop);

/* From here on the fd tells all: it also becomes readable once the timeout is
 * over and after calls that leave something for a step, so that a host need
 * not ask for the timeout. Takes a step. Linux only; SYSTEM elsewhere or
 * without an fd to spare. */
WRENN_API wrenn_status wrenn_loop_watch(wrenn_loop *loop);

/* Does what is due, without blocking. */
WRENN_API wrenn_status wrenn_loop_step(wrenn_loop *loop);

/* Waits until there is an event, `timeout_ms` passed (-1: no limit) or a
 * signal arrived, stepping as needed. */
WRENN_API wrenn_status wrenn_loop_wait(wrenn_loop *loop, int timeout_ms);

/* ---- events -------------------------------------------------------------- */

typedef enum wrenn_event_type {
  WRENN_EV_HEADERS,  /* http, streamed: status, headers */
  WRENN_EV_CHUNK,    /* http, streamed: data */
  WRENN_EV_WRITABLE, /* http upload: there is room again, send more */
  WRENN_EV_DONE,     /* http, terminal: status, headers, data (when buffered) */
  WRENN_EV_OPENED,   /* ws: the upgrade succeeded */
  WRENN_EV_FRAME,    /* ws: frame; codec RAW: data and frame.binary */
  WRENN_EV_CLOSED, /* ws, terminal: code (1006: without a close frame), data */
  WRENN_EV_FIRED,  /* timer, terminal */
  WRENN_EV_FAILED  /* any, terminal: error, message in data; REFUSED also
                      status, headers, and the body in data */
} wrenn_event_type;

typedef struct wrenn_event {
  wrenn_id id;
  wrenn_event_type type;
  wrenn_status error;
  bool sent;        /* FAILED, http: the request, or a part of it, has left; the
                       server may have done what it asks for */
  int status;       /* HTTP status */
  int code;         /* WebSocket close code */
  const char *data; /* never NULL */
  size_t data_len;
  const char *headers; /* the header lines as received, CRLF; never NULL */
  size_t headers_len;
  wrenn_frame frame;
} wrenn_event;

/* Takes the oldest event. Returns false when there is none. What the event
 * points to stays valid until the next call of this function or the end of
 * the loop. */
WRENN_API bool wrenn_loop_next(wrenn_loop *loop, wrenn_event *event);

/* As wrenn_loop_next, but takes nothing but a FRAME of this operation: false
 * when the oldest event is any other. For handing on many frames at once. */
WRENN_API bool wrenn_loop_next_frame(wrenn_loop *loop, wrenn_id id,
                                     wrenn_event *event);

/* Finds a header in an event's header lines, ignoring case; the last one when
 * it repeats. Returns its value (not NUL-terminated) or NULL. */
WRENN_API const char *wrenn_event_header(const wrenn_event *event,
                                         const char *name, size_t *len);

/* ---- what connections share ---------------------------------------------- */

typedef struct wrenn_net {
  const char *ca_file; /* PEM file to trust; NULL: what SSL_CERT_FILE and
                          SSL_CERT_DIR say, else the system's */
  const char *proxy;   /* URL: http, https, socks4, socks4a, socks5, socks5h;
                          "": none; NULL: as the environment says, read as
                          libcurl does, but never for loopback */
  bool insecure;       /* accept any certificate */
  uint32_t owner;      /* for wrenn_release; 0: nobody */
} wrenn_net;

/* Closes the connections that an owner's requests have left behind for others
 * to use again, now or, where one is in use, after that. */
WRENN_API wrenn_status wrenn_release(wrenn_loop *loop, uint32_t owner);

typedef struct wrenn_deadlines {
  uint32_t connect_ms; /* name, TCP, TLS and, for ws, the upgrade */
  uint32_t head_ms;    /* http: from the last byte of the request to the end of
                          the answer's head. A head that has begun has 30 s to
                          end, whatever is said here */
  uint32_t answer_ms;  /* http: from the last byte of the request to the end of
                          the answer */
  uint32_t idle_ms;    /* no byte either way while neither side is paused or
                          waits for the user's part of an upload */
  uint32_t total_ms;   /* from start to terminal event */
} wrenn_deadlines;

/* ---- http ---------------------------------------------------------------- */

typedef struct wrenn_http_options {
  const char *method;         /* NULL: GET */
  const char *url;            /* http:// or https://, already escaped */
  const char *const *headers; /* "Name: value" lines */
  size_t header_count;
  const void *body; /* sent whole, with its length */
  size_t body_len;
  bool upload;         /* the body comes by wrenn_http_send instead */
  int64_t upload_size; /* its length; -1: unknown, sent chunked */
  bool stream;         /* answer as HEADERS, CHUNK..., DONE; an answer with
                          status 400 or more is always one DONE */
  size_t max_body;     /* limit of a buffered answer; 0: 1 GiB */
  wrenn_deadlines deadlines;
  wrenn_net net;
} wrenn_http_options;

/* Starts a request. Redirects are not followed. Connections are kept and used
 * again; where the server has closed one, a request without a body whose method
 * says that twice is as good as once (GET, HEAD, PUT, DELETE, OPTIONS) goes out
 * anew, any other never leaves twice. An answer whose head leaves a doubt of
 * what belongs to it is PROTOCOL or TOO_LARGE. Sets *id. ARGUMENT: the method,
 * URL or a header is malformed (control characters included). */
WRENN_API wrenn_status wrenn_http_start(wrenn_loop *loop,
                                        const wrenn_http_options *options,
                                        wrenn_id *id);

/* Appends to the body of an upload; `last` ends it. The library takes all of
 * it; *room (may be NULL) becomes false once enough is waiting to be sent:
 * then wait for WRITABLE before the next call. */
WRENN_API wrenn_status wrenn_http_send(wrenn_loop *loop, wrenn_id id,
                                       const void *data, size_t len, bool last,
                                       bool *room);

/* ---- ws ------------------------------------------------------------------ */

typedef struct wrenn_ws_options {
  const char *url; /* ws:// or wss://, already escaped */
  const char *const *headers;
  size_t header_count;
  wrenn_codec codec;
  size_t max_message; /* 0: 64 MiB */
  uint32_t ping_ms;   /* ping a silent peer this often, and give up after two
                         unanswered; while paused send pongs unasked; 0: 30 s */
  wrenn_deadlines deadlines;
  wrenn_net net;
} wrenn_ws_options;

/* Opens a WebSocket. Messages may be sent at once; they leave after OPENED. */
WRENN_API wrenn_status wrenn_ws_open(wrenn_loop *loop,
                                     const wrenn_ws_options *options,
                                     wrenn_id *id);

/* Sends one message. */
WRENN_API wrenn_status wrenn_ws_send(wrenn_loop *loop, wrenn_id id,
                                     const void *data, size_t len, bool binary);

/* Bytes accepted by wrenn_ws_send that have not left yet. */
WRENN_API size_t wrenn_ws_unsent(const wrenn_loop *loop, wrenn_id id);

/* Closes in good order: what was sent leaves first, then a close frame; the
 * peer's answer is awaited for 1 s at the most. Ends with CLOSED. */
WRENN_API wrenn_status wrenn_ws_close(wrenn_loop *loop, wrenn_id id);

/* ---- any operation ------------------------------------------------------- */

/* Starts a timer that fires once, and never early. */
WRENN_API wrenn_status wrenn_timer_start(wrenn_loop *loop, uint32_t ms,
                                         wrenn_id *id);

/* Stops (or lets go on) reading an operation's data off the network. Its
 * events that are queued already still come. A loop also pauses an operation
 * by itself while 256 KiB of its data wait in the queue. */
WRENN_API wrenn_status wrenn_pause(wrenn_loop *loop, wrenn_id id, bool paused);

/* Ends an operation at once: its connection is dropped, its queued events are
 * discarded, and FAILED with CANCELLED follows. */
WRENN_API wrenn_status wrenn_cancel(wrenn_loop *loop, wrenn_id id);

#ifdef __cplusplus
}
#endif

#endif
