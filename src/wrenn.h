/*
 * libwrenn: HTTP requests and WebSockets behind one queue and one descriptor.
 *
 * A program starts operations (wrenn_http_start, wrenn_ws_open,
 * wrenn_timer_start, wrenn_ready_start, wrenn_signal_start) and takes events
 * from wrenn_loop_next. There are no callbacks, only wrenn_loop_wait blocks,
 * and all work is done in wrenn_loop_step, which wrenn_loop_wait calls:
 *
 *   while (!done) {
 *     wrenn_loop_wait(loop, -1);
 *     while (wrenn_loop_next(loop, &event))
 *       handle(&event);
 *   }
 *
 * A program with an event loop of its own waits until wrenn_loop_fd is
 * readable or wrenn_loop_timeout is over, and calls wrenn_loop_step instead.
 *
 * Each operation ends with exactly one terminal event: DONE, CLOSED, FIRED,
 * READY or FAILED. A loop belongs to one thread and one process; loops are
 * independent of each other. The library copies the strings and bytes that it
 * is given. Times are in milliseconds; 0 means no limit, unless a field says
 * otherwise.
 *
 * Compatibility: programs that were compiled with an older header go on working
 * with a newer library as long as the number in the library's name
 * (libwrenn.so.0.1) is the same. Within it functions, enumerators and members
 * at the end of the option structs may be added; that is what their `size` is
 * for. No other struct changes. As long as the version begins with 0, every
 * change of its second number may break programs, and changes the name.
 */
#ifndef WRENN_H
#define WRENN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WRENN_VERSION "0.1.0"
#define WRENN_API __attribute__((visibility("default")))

/* The version of the library that the program runs with; WRENN_VERSION is that
 * of the header that it was compiled with. A constant string. */
WRENN_API const char *wrenn_version(void);

typedef struct wrenn_loop wrenn_loop;

/* Names one operation of one loop. It is never 0 and never used again by the
 * same loop, so an old id does no harm: every call with it returns
 * WRENN_E_CLOSED. A double holds it exactly. */
typedef uint64_t wrenn_id;

typedef enum wrenn_status {
  WRENN_OK,
  WRENN_E_ARGUMENT,  /* the caller's mistake: see the function */
  WRENN_E_MEMORY,    /* out of memory */
  WRENN_E_CLOSED,    /* no such operation, or it has ended */
  WRENN_E_FORKED,    /* the loop belongs to another process */
  WRENN_E_SYSTEM,    /* the system refused (file descriptors, threads) */
  WRENN_E_RESOLVE,   /* the host name has no address */
  WRENN_E_CONNECT,   /* no connection, or it was lost before any answer */
  WRENN_E_TLS,       /* the handshake or the verification failed */
  WRENN_E_TIMEOUT,   /* a deadline passed; the message says which */
  WRENN_E_BROKEN,    /* the connection ended inside an answer */
  WRENN_E_PROTOCOL,  /* the answer is not what the protocol allows */
  WRENN_E_TOO_LARGE, /* an answer or message is over its limit */
  WRENN_E_REFUSED,   /* the server answered a WebSocket's upgrade with HTTP */
  WRENN_E_CANCELLED, /* wrenn_cancel */
  WRENN_E_FILE       /* a file to be sent could not be read */
} wrenn_status;

/* A short text for a status. A constant string. */
WRENN_API const char *wrenn_strerror(wrenn_status status);

/* ---- loop ---------------------------------------------------------------- */

/* Creates a loop. Returns NULL and sets *why on failure. Free it with
 * wrenn_loop_free. */
WRENN_API wrenn_loop *wrenn_loop_new(wrenn_status *why);

/* Closes every connection, drops every event and frees the loop. Never waits
 * for the network. Does nothing in a forked child, which shares what the loop
 * holds with its parent. NULL is allowed. */
WRENN_API void wrenn_loop_free(wrenn_loop *loop);

/* A descriptor that is readable when wrenn_loop_step has something to do. It
 * stays the same as long as the loop exists, and belongs to the loop. */
WRENN_API int wrenn_loop_fd(const wrenn_loop *loop);

/* How long the program may wait before it calls wrenn_loop_step even if the
 * descriptor does not become readable; -1: for ever. Every call into the
 * library may change it. */
WRENN_API int wrenn_loop_timeout(const wrenn_loop *loop);

/* From now on the descriptor alone is enough: it also becomes readable when the
 * timeout is over, and after calls that leave something for wrenn_loop_step to
 * do. Calls wrenn_loop_step once. SYSTEM: no descriptor left. */
WRENN_API wrenn_status wrenn_loop_watch(wrenn_loop *loop);

/* Does what there is to do, without blocking. */
WRENN_API wrenn_status wrenn_loop_step(wrenn_loop *loop);

/* Waits until there is an event, `timeout_ms` are over (-1: no limit) or a
 * signal has been handled, and calls wrenn_loop_step as needed. */
WRENN_API wrenn_status wrenn_loop_wait(wrenn_loop *loop, int timeout_ms);

/* ---- frames -------------------------------------------------------------- */

/* How the messages of a WebSocket are decoded. */
typedef enum wrenn_codec {
  WRENN_CODEC_RAW,    /* messages are passed on unchanged */
  WRENN_CODEC_STREAM, /* exec and process streams */
  WRENN_CODEC_PTY     /* both PTY encodings */
} wrenn_codec;

typedef enum wrenn_frame_kind {
  WRENN_FRAME_START,   /* pid */
  WRENN_FRAME_STDOUT,  /* data */
  WRENN_FRAME_STDERR,  /* data */
  WRENN_FRAME_EXIT,    /* exit_code (-1 when absent) */
  WRENN_FRAME_ERROR,   /* data, fatal */
  WRENN_FRAME_STARTED, /* pid, tag (PTY) */
  WRENN_FRAME_OUTPUT,  /* data, binary (PTY; base64 already decoded) */
  WRENN_FRAME_PING,    /* (PTY) */
  WRENN_FRAME_UNKNOWN  /* type; data when there was any */
} wrenn_frame_kind;

/* A decoded message. Strings have a length and no NUL at their end. */
typedef struct wrenn_frame {
  wrenn_frame_kind kind;
  const char *type; /* as sent; "unknown" when absent */
  size_t type_len;
  const char *data; /* never NULL */
  size_t data_len;
  const char *tag; /* NULL when absent */
  size_t tag_len;
  int64_t pid; /* 0 when absent */
  int exit_code;
  bool fatal;
  bool binary; /* received as a binary message (the PTY's other encoding) */
} wrenn_frame;

/* ---- events -------------------------------------------------------------- */

typedef enum wrenn_event_type {
  WRENN_EV_HEADERS,  /* http, streamed: status, headers */
  WRENN_EV_CHUNK,    /* http, streamed; tunnel: data */
  WRENN_EV_WRITABLE, /* http, upload; tunnel: there is room again to send */
  WRENN_EV_DONE,     /* http, terminal: status, headers; data unless streamed */
  WRENN_EV_OPENED,   /* ws: the server accepted the upgrade; tunnel: the
                        connection is made */
  WRENN_EV_FRAME,    /* ws: frame; with codec RAW the message is in data, and
                        only frame.binary is set */
  WRENN_EV_CLOSED,   /* ws, terminal: code (1006: the connection ended without a
                        close frame); the peer's reason in data. tunnel,
                        terminal: the peer has sent all, and ended it */
  WRENN_EV_FIRED,    /* timer, terminal */
  WRENN_EV_FAILED,   /* any, terminal: error, and a message in data; REFUSED:
                        status, headers, and the answer's body in data;
                        FILE: errno in code, 0: the file ended too early */
  WRENN_EV_READY,    /* descriptor, terminal: in code what it is ready for */
  WRENN_EV_SIGNAL    /* signal: its number in code */
} wrenn_event_type;

/* The members that an event's type does not name are 0 or empty. Strings have
 * a length and no NUL at their end. */
typedef struct wrenn_event {
  wrenn_id id;
  wrenn_event_type type;
  void *user; /* as given when the operation was started */
  wrenn_status error;
  bool sent;        /* FAILED, http: at least a part of the request was sent, so
                       the server may have done what it asks for */
  int status;       /* HTTP status */
  int code;         /* WebSocket close code, or as the type says */
  const char *data; /* never NULL */
  size_t data_len;
  const char *headers; /* the header lines as received, CRLF; never NULL */
  size_t headers_len;
  wrenn_frame frame;
} wrenn_event;

/* Takes the oldest event. Returns false when there is none. What the event
 * points to stays valid until the next call of this function or of
 * wrenn_loop_next_frame, or until the loop is freed. */
WRENN_API bool wrenn_loop_next(wrenn_loop *loop, wrenn_event *event);

/* As wrenn_loop_next, but takes the oldest event only if it is a FRAME of this
 * operation, and returns false otherwise. For passing on many frames at
 * once. */
WRENN_API bool wrenn_loop_next_frame(wrenn_loop *loop, wrenn_id id,
                                     wrenn_event *event);

/* Finds a header in an event's header lines, ignoring case; the last one if
 * there are several. Returns its value, which is *len bytes long and has no
 * NUL at its end, or NULL. */
WRENN_API const char *wrenn_event_header(const wrenn_event *event,
                                         const char *name, size_t *len);

/* Copies a member of the JSON object in an event's data to `to`, which has room
 * for `size` bytes, with a NUL at its end. Returns false if there is no such
 * member, if it is not a string, contains a NUL or (as written in the JSON)
 * does not fit; `to` is then empty. For an answer's `id` and `status`; for
 * more, use a JSON library. */
WRENN_API bool wrenn_event_text(const wrenn_event *event, const char *name,
                                char *to, size_t size);

/* ---- connections --------------------------------------------------------- */

typedef struct wrenn_net {
  const char *ca_file; /* PEM file of trusted certificates; NULL: what
                          SSL_CERT_FILE and SSL_CERT_DIR name, else the
                          system's */
  const char *proxy;   /* URL: http, https, socks4, socks4a, socks5, socks5h;
                          "": none; NULL: what the environment names, as libcurl
                          reads it, but never for loopback */
  bool insecure;       /* accept any certificate */
  uint32_t owner;      /* for wrenn_release; 0: nobody */
} wrenn_net;

/* Connections stay open after a request, to be used again. This closes those
 * whose last request had this `owner`: at once, or when the request that uses
 * one of them has ended. */
WRENN_API wrenn_status wrenn_release(wrenn_loop *loop, uint32_t owner);

typedef struct wrenn_deadlines {
  uint32_t connect_ms; /* name, TCP, TLS and, for ws, the upgrade */
  uint32_t head_ms;    /* http: from the last byte of the request, or the last
                          that could be sent so far, to the end of the answer's
                          head. A head that has begun has to end within 30 s in
                          any case */
  uint32_t answer_ms;  /* http: likewise to the end of the answer */
  uint32_t idle_ms;    /* no byte in either direction. Does not count while the
                          operation is paused or the rest of an upload has not
                          been given yet */
  uint32_t total_ms;   /* from the start to the terminal event */
} wrenn_deadlines;

/* ---- http ---------------------------------------------------------------- */

typedef struct wrenn_http_options {
  size_t size;                /* sizeof(wrenn_http_options) */
  void *user;                 /* given back in each event */
  const char *method;         /* NULL: GET */
  const char *url;            /* http:// or https://, already escaped */
  const char *const *headers; /* "Name: value" lines */
  size_t header_count;
  const void *body; /* sent with its length */
  size_t body_len;
  bool upload;         /* the body is given to wrenn_http_send instead */
  int64_t upload_size; /* its length; -1: unknown, sent chunked */
  bool stream;         /* the answer comes as HEADERS, CHUNK..., DONE; an answer
                          with status 400 or more is always one DONE */
  size_t max_body;     /* limit of an answer that is not streamed; 0: 1 GiB */
  wrenn_deadlines deadlines;
  wrenn_net net;
} wrenn_http_options;

/* Starts a request and sets *id. Redirects are not followed. If a connection
 * that was kept turns out to be closed, a request without a body whose method
 * may be repeated (GET, HEAD, PUT, DELETE, OPTIONS) is sent again on another
 * one; any other request is never sent twice. An answer whose head leaves a
 * doubt about where the answer ends fails with PROTOCOL or TOO_LARGE.
 * ARGUMENT: the method, the URL or a header is malformed (or has a control
 * character), or options->size is not a size. */
WRENN_API wrenn_status wrenn_http_start(wrenn_loop *loop,
                                        const wrenn_http_options *options,
                                        wrenn_id *id);

/* Options that many requests share, checked and copied once. Belongs to no
 * loop. */
typedef struct wrenn_request wrenn_request;

/* Prepares requests with these options, of which `user`, `body` and `upload` do
 * not count. ARGUMENT: as wrenn_http_start. */
WRENN_API wrenn_status wrenn_request_new(const wrenn_http_options *options,
                                         wrenn_request **request);

/* Those that have been started go on. NULL is allowed. */
WRENN_API void wrenn_request_free(wrenn_request *request);

/* What is one request's own. */
typedef struct wrenn_request_options {
  size_t size;      /* sizeof(wrenn_request_options) */
  void *user;       /* given back in each event */
  const char *path; /* added to the URL, already escaped; NULL: nothing */
  const void *body; /* sent with its length */
  size_t body_len;
  bool upload; /* the body is given to wrenn_http_send instead */
  int64_t upload_size;
  wrenn_deadlines deadlines; /* those that are 0 are as prepared */
} wrenn_request_options;

/* Starts a prepared request, like wrenn_http_start. */
WRENN_API wrenn_status wrenn_request_start(wrenn_loop *loop,
                                           wrenn_request *request,
                                           const wrenn_request_options *options,
                                           wrenn_id *id);

/* Adds to the body of an upload; `last` ends it. Takes all bytes in any case.
 * Sets *room (may be NULL) to false when enough bytes are waiting to be sent:
 * the next call should then be made after WRITABLE. ARGUMENT: the request is
 * not an upload, or the body has ended. */
WRENN_API wrenn_status wrenn_http_send(wrenn_loop *loop, wrenn_id id,
                                       const void *data, size_t len, bool last,
                                       bool *room);

/* Adds `len` bytes of a file to the body of an upload, from `offset` on, which
 * are read as they are sent. The caller keeps its descriptor, which may be
 * closed at once. What wrenn_http_send is given later follows them. ARGUMENT:
 * as there, or another file is being sent. */
WRENN_API wrenn_status wrenn_http_send_file(wrenn_loop *loop, wrenn_id id,
                                            int fd, uint64_t offset,
                                            uint64_t len);

/* ---- ws ------------------------------------------------------------------ */

typedef struct wrenn_ws_options {
  size_t size;     /* sizeof(wrenn_ws_options) */
  void *user;      /* given back in each event */
  const char *url; /* ws:// or wss://, already escaped */
  const char *const *headers;
  size_t header_count;
  wrenn_codec codec;
  size_t max_message; /* 0: 64 MiB */
  uint32_t ping_ms;   /* how long the peer may be silent before it is pinged,
                         and before it is pinged again. It is given up after
                         two pings without an answer. While the operation is
                         paused, pongs are sent instead; 0: 30 s */
  wrenn_deadlines deadlines;
  wrenn_net net;
} wrenn_ws_options;

/* Opens a WebSocket and sets *id. ARGUMENT: as wrenn_http_start. */
WRENN_API wrenn_status wrenn_ws_open(wrenn_loop *loop,
                                     const wrenn_ws_options *options,
                                     wrenn_id *id);

/* Sends one message. Allowed from the start: messages wait until the WebSocket
 * is open. */
WRENN_API wrenn_status wrenn_ws_send(wrenn_loop *loop, wrenn_id id,
                                     const void *data, size_t len, bool binary);

/* Sends the first message of an exec stream, which starts a command: a program
 * and its arguments, `count` words. No shell is involved unless the program is
 * one. Bytes that are not UTF-8 become U+FFFD. ARGUMENT: there is no word. */
WRENN_API wrenn_status wrenn_ws_send_start(wrenn_loop *loop, wrenn_id id,
                                           const char *const *words,
                                           size_t count);

/* Sends input to a PTY in its text encoding:
 * {"type":"input","data":"<base64>"}. */
WRENN_API wrenn_status wrenn_ws_send_input(wrenn_loop *loop, wrenn_id id,
                                           const void *data, size_t len);

/* How many bytes of messages have not been sent yet; 0 if there is no such
 * operation. */
WRENN_API size_t wrenn_ws_unsent(const wrenn_loop *loop, wrenn_id id);

/* Closes a WebSocket: sends the messages that are waiting, then a close frame,
 * and waits for the peer's answer. CLOSED follows after at most one second,
 * with code 1000, or 1006 if there was no answer. Messages that arrive
 * meanwhile are dropped. */
WRENN_API wrenn_status wrenn_ws_close(wrenn_loop *loop, wrenn_id id);

/* ---- tunnels ------------------------------------------------------------- */

typedef struct wrenn_tunnel_options {
  size_t size;     /* sizeof(wrenn_tunnel_options) */
  void *user;      /* given back in each event */
  const char *url; /* http:// or https://: whom to connect to, and whether by
                      TLS; the path does not count */
  wrenn_deadlines deadlines; /* head_ms and answer_ms do not count */
  wrenn_net net;
} wrenn_tunnel_options;

/* Makes a connection, through any proxy, and sets *id. Its bytes come and go as
 * they are: OPENED, CHUNK..., then CLOSED, or FAILED if it breaks. The library
 * adds nothing of its own. wrenn_cancel closes it. ARGUMENT: the URL is
 * malformed, or options->size is not a size. */
WRENN_API wrenn_status wrenn_tunnel_open(wrenn_loop *loop,
                                         const wrenn_tunnel_options *options,
                                         wrenn_id *id);

/* Sends bytes. Allowed from the start: they wait until the connection is made.
 * Takes all in any case. Sets *room (may be NULL) to false when enough bytes
 * are waiting to be sent: the next call should then be made after WRITABLE. */
WRENN_API wrenn_status wrenn_tunnel_send(wrenn_loop *loop, wrenn_id id,
                                         const void *data, size_t len,
                                         bool *room);

/* ---- the program's own descriptors and signals ----------------------------
 */

enum { WRENN_READABLE = 1, WRENN_WRITABLE = 2 };

/* Waits until a descriptor is ready for what `how` says (or both), and sets
 * *id: READY comes once. An end or an error makes it ready, too. A file is
 * always ready. The descriptor's flags stay as they are: O_NONBLOCK would be
 * set for every process that shares it. So the program makes one read(2), or a
 * write(2) of at most PIPE_BUF bytes, and waits again. The descriptor belongs
 * to the program, which may close it once the operation has ended. ARGUMENT:
 * it is not open, or `how` is something else. */
WRENN_API wrenn_status wrenn_ready_start(wrenn_loop *loop, int fd, int how,
                                         void *user, wrenn_id *id);

/* Watches a signal of the process until wrenn_cancel, and sets *id: SIGNAL
 * comes each time; signals that come before the event is taken are one. The
 * handler is installed now, and the signal has its default effect again when
 * the last operation of the process that watches it has ended. A signal that
 * is ignored (nohup does that) stays so, and brings no event. ARGUMENT: it
 * cannot be handled. */
WRENN_API wrenn_status wrenn_signal_start(wrenn_loop *loop, int number,
                                          void *user, wrenn_id *id);

/* ---- any operation ------------------------------------------------------- */

/* Starts a timer and sets *id: FIRED comes once, with `user`, and never too
 * early. */
WRENN_API wrenn_status wrenn_timer_start(wrenn_loop *loop, uint32_t ms,
                                         void *user, wrenn_id *id);

/* Stops reading an operation's data from the network, or goes on. Events that
 * are in the queue already are not held back. The loop also pauses an operation
 * by itself while 256 KiB of its data are in the queue. */
WRENN_API wrenn_status wrenn_pause(wrenn_loop *loop, wrenn_id id, bool paused);

/* Ends an operation at once: closes its connection, drops its events from the
 * queue, and adds FAILED with CANCELLED. */
WRENN_API wrenn_status wrenn_cancel(wrenn_loop *loop, wrenn_id id);

#ifdef __cplusplus
}
#endif

#endif
