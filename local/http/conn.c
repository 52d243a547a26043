/* Connections: their life, and what is sent on them. */
#include "http/conn.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long a finished connection waits: first for its client to read some of
 * what is unsent, then for it to hang up. */
#define STALL_MS 30000
#define LINGER_MS 2000
#define PATIENCE_MS 50
#define SPARE_MAX 64 /* descriptors, or a quarter of the limit */

/* ---- life ---------------------------------------------------------------- */

static void free_conn(conn *c) {
  parser_free(&c->parser);
  free(c->context);
  free(c);
}

static void on_closed(uv_handle_t *handle) {
  conn *c = handle->data;
  if (--c->handles > 0)
    return;
  request_reset(c);
  if (c->ws)
    ws_lost(c->ws);
  wrenn_buf_free(&c->input);
  free_conn(c);
}

void conn_abort(conn *c) {
  if (c->stage == CONN_CLOSED)
    return;
  c->stage = CONN_CLOSED;
  doors_forget_head(c);
  list_remove(&c->link);
  /* Handlers are told in on_closed, as one of them may be running now. */
  uv_close((uv_handle_t *)&c->tcp, on_closed);
  uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void on_linger(uv_timer_t *timer) { conn_abort(timer->data); }

static void on_stall(uv_timer_t *timer) {
  conn *c = timer->data;
  size_t left = conn_unsent(c);
  if (left == c->left)
    conn_abort(c);
  c->left = left;
}

static void on_shutdown(uv_shutdown_t *request, int status) {
  conn *c = request->data;
  free(request);
  if (status < 0 || c->eof)
    conn_abort(c);
  else
    uv_timer_start(&c->timer, on_linger,
                   conn_is_spare(c) ? PATIENCE_MS : LINGER_MS, 0);
}

/* If the socket were closed at once, further data from the client would cause a
 * reset, and the client could lose the last bytes of the answer. */
void conn_finish(conn *c) {
  if (c->stage >= CONN_FINISHED)
    return;
  c->stage = CONN_FINISHED;
  uv_shutdown_t *request = malloc(sizeof(*request));
  if (!request) {
    conn_abort(c);
    return;
  }
  request->data = c;
  if (uv_shutdown(request, (uv_stream_t *)&c->tcp, on_shutdown)) {
    free(request);
    conn_abort(c);
    return;
  }
  c->left = conn_unsent(c);
  if (conn_is_spare(c))
    uv_timer_start(&c->timer, on_linger, PATIENCE_MS, 0);
  else
    uv_timer_start(&c->timer, on_stall, STALL_MS, STALL_MS);
  request_read(c);
}

/* ---- out ----------------------------------------------------------------- */

size_t conn_unsent(const conn *c) {
  return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

bool conn_clogged(const conn *c) {
  return conn_unsent(c) + c->out.writes * OUTLET_COST > CONN_WAITING_MAX;
}

static void on_written(void *arg, int status) {
  conn *c = arg;
  if (status < 0) {
    conn_abort(c);
    return;
  }
  if (c->stage == CONN_CLOSED || c->out.writes > 0)
    return;
  if (c->ws)
    ws_drained(c->ws);
  else if (c->task.drained)
    c->task.drained(c);
  if (c->stage != CONN_CLOSED)
    request_parse(c); /* parsing stops while too much is unsent */
}

void conn_send_parts(conn *c, const uv_buf_t *parts, unsigned count) {
  if (c->stage < CONN_FINISHED && outlet_send(&c->out, parts, count))
    conn_abort(c);
}

void conn_send(conn *c, const char *data, size_t len) {
  uv_buf_t part = uv_buf_init((char *)data, (unsigned)len);
  conn_send_parts(c, &part, 1);
}

/* ---- turns --------------------------------------------------------------- */

static void on_turns(uv_idle_t *turns) {
  http_server *s = turns->data;
  uv_idle_stop(turns);
  LIST_EACH (conn, c, &s->conns, link) {
    bool wants = c->wants_turn;
    c->wants_turn = false;
    if (wants && c->task.drained && c->out.writes == 0)
      c->task.drained(c);
  }
}

void conn_want_turn(conn *c) {
  c->wants_turn = true;
  uv_idle_start(&c->server->turns, on_turns);
}

/* ---- server -------------------------------------------------------------- */

/* The most that is kept back. */
static uint64_t spare_most(const http_server *s) {
  return s->open_files / 4 < SPARE_MAX ? s->open_files / 4 : SPARE_MAX;
}

static bool is_beyond(const http_server *s, int fd, spare what) {
  uint64_t kept = spare_most(s) * what / SPARE_FOR_WORK;
  return fd < 0 || (uint64_t)fd + kept >= s->open_files;
}

/* Once, while there is still time to do something about it. */
static void warn_early(http_server *s, int fd) {
  uint64_t used = fd < 0 ? s->open_files : (uint64_t)fd;
  if (s->has_warned || used < (s->open_files - spare_most(s)) / 4 * 3)
    return;
  s->has_warned = true;
  fprintf(stderr,
          "wrenn-local: %llu of %llu open files are in use. When they run out,"
          " requests get a 503; ulimit -Hn raises the limit\n",
          (unsigned long long)used, (unsigned long long)s->open_files);
}

/* The lowest free descriptor tells how many are in use. */
bool http_server_is_full(http_server *s, spare what) {
  uv_os_fd_t any;
  int fd = -1;
  if (!uv_fileno((const uv_handle_t *)&s->listener, &any))
    fd = fcntl(any, F_DUPFD_CLOEXEC, 0);
  if (fd >= 0)
    close(fd);
  warn_early(s, fd);
  return is_beyond(s, fd, what);
}

bool conn_is_spare(const conn *c) {
  uv_os_fd_t own;
  return uv_fileno((const uv_handle_t *)&c->tcp, &own) ||
         is_beyond(c->server, own, SPARE_FOR_ANSWER);
}

static void on_patience(uv_timer_t *timer);

static conn *make_conn(http_server *s) {
  conn *c = calloc(1, sizeof(*c));
  if (!c)
    return NULL;
  c->server = s;
  c->context = calloc(1, s->context_size);
  if (c->context && request_init(c))
    return c;
  free_conn(c);
  return NULL;
}

/* A connection that cannot be accepted waits in the backlog, and so do those
 * after it. */
static void accept_next(http_server *s) {
  uv_stream_t *listener = (uv_stream_t *)&s->listener;
  bool full =
      http_server_is_full(s, SPARE_FOR_CONNECTION) && !doors_make_room(s);
  conn *c = full ? NULL : make_conn(s);
  if (!c) {
    uv_timer_start(&s->patience, on_patience, PATIENCE_MS, 0);
    return;
  }
  uv_tcp_init(s->loop, &c->tcp);
  uv_timer_init(s->loop, &c->timer);
  c->tcp.data = c->timer.data = c;
  c->handles = 2;
  c->out =
      (outlet){.to = (uv_stream_t *)&c->tcp, .written = on_written, .arg = c};
  list_prepend(&s->conns, &c->link);
  if (uv_accept(listener, (uv_stream_t *)&c->tcp)) {
    conn_abort(c);
    return;
  }
  uv_tcp_nodelay(&c->tcp, 1);
  request_parse(c);
}

static void on_patience(uv_timer_t *timer) { accept_next(timer->data); }

static void on_connection(uv_stream_t *listener, int status) {
  if (status == 0)
    accept_next(listener->data);
}

int http_server_start(http_server *s, const char *address, int port) {
  struct sockaddr_storage where;
  int size = sizeof(where), rc;
  rc = uv_ip4_addr(address, port, (struct sockaddr_in *)&where);
  if (rc)
    rc = uv_ip6_addr(address, port, (struct sockaddr_in6 *)&where);
  if (rc)
    return rc;
  s->scratch = malloc(CONN_READ_SIZE);
  if (!s->scratch)
    return UV_ENOMEM;
  uv_idle_init(s->loop, &s->turns);
  uv_timer_init(s->loop, &s->patience);
  s->turns.data = s->patience.data = s;
  uv_tcp_init(s->loop, &s->listener);
  s->listener.data = s;
  rc = uv_tcp_bind(&s->listener, (struct sockaddr *)&where, 0);
  if (!rc)
    rc = uv_listen((uv_stream_t *)&s->listener, 1024, on_connection);
  if (!rc)
    rc = uv_tcp_getsockname(&s->listener, (struct sockaddr *)&where, &size);
  if (rc)
    return rc;
  return ntohs(where.ss_family == AF_INET6
                   ? ((struct sockaddr_in6 *)&where)->sin6_port
                   : ((struct sockaddr_in *)&where)->sin_port);
}

void http_server_end(http_server *s) {
  s->ending = true;
  uv_close((uv_handle_t *)&s->listener, NULL);
  uv_close((uv_handle_t *)&s->turns, NULL);
  uv_close((uv_handle_t *)&s->patience, NULL);
  LIST_EACH (conn, c, &s->conns, link)
    conn_abort(c);
  free(s->scratch);
  s->scratch = NULL;
}
