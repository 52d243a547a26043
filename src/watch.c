/* libcurl's sockets, watched by libuv. libcurl removes a socket after each
 * transfer and adds it again for the next one; telling the kernel about both
 * would cost more than the transfer's own system calls. So sockets stay watched
 * until they are closed. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"

static void on_poll(uv_poll_t *poll, int status, int events);

void wrenn_watch_for(wrenn_watch *w, int events) {
  if (w->watched == events)
    return;
  /* libuv tells the kernel only when it runs. */
  if (events & ~w->watched)
    wrenn_loop_dirty(w->engine->loop);
  w->watched = events;
  if (events)
    uv_poll_start(&w->poll, events, on_poll);
  else
    uv_poll_stop(&w->poll);
}

/* Of the events that libcurl wants, those that it is told of. */
static int due(const wrenn_watch *w) {
  return w->user && w->user->held ? w->wanted & ~UV_READABLE : w->wanted;
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  wrenn_watch *w = poll->data;
  int what = 0;
  if (events & UV_READABLE)
    what |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE)
    what |= CURL_CSELECT_OUT;
  /* A socket in error may still hold an answer, from a server that refuses an
   * upload half-way and closes. Reading returns it; who has read all of it and
   * only sends learns of the error by that. libuv has stopped watching. */
  if (status < 0) {
    what = w->wanted & UV_READABLE ? CURL_CSELECT_IN : CURL_CSELECT_OUT;
    w->watched = 0;
  }
  if (w->since) {
    wrenn_idle_event(w, status);
    return;
  }
  if (w->ready) {
    w->ready(w->arg, status < 0 ? UV_READABLE : events);
    return;
  }
  if (due(w))
    wrenn_engine_act(w->engine, w->fd, what);
  /* While a transfer is paused nothing reads, and the socket would stay
   * readable. An idle connection stays watched. */
  if (!uv_is_closing((uv_handle_t *)poll) && !w->since && !w->ready &&
      (status < 0 || !due(w)))
    wrenn_watch_for(w, due(w));
}

static wrenn_watch *new_watch(wrenn_engine *engine, curl_socket_t fd) {
  wrenn_watch *w = calloc(1, sizeof(*w));
  if (!w)
    return NULL;
  if (uv_poll_init_socket(&engine->loop->uv, &w->poll, fd)) {
    free(w);
    return NULL;
  }
  w->poll.data = w;
  w->engine = engine;
  w->fd = fd;
  engine->open_handles++;
  return w;
}

static void on_closed(uv_handle_t *handle) {
  wrenn_watch *w = handle->data;
  wrenn_engine_release(w->engine);
  free(w);
}

static void end_watch(wrenn_watch *w) {
  if (w)
    uv_close((uv_handle_t *)&w->poll, on_closed);
}

/* ---- sockets of connections ---------------------------------------------- */

static wrenn_watch *find_watch(const wrenn_engine *engine, curl_socket_t fd) {
  return (size_t)fd < engine->watch_count ? engine->watches[fd] : NULL;
}

void wrenn_watch_forget(wrenn_engine *engine, curl_socket_t fd) {
  wrenn_watch *w = find_watch(engine, fd);
  if (w)
    engine->watches[fd] = NULL;
  end_watch(w);
}

static bool make_room(wrenn_engine *engine, curl_socket_t fd) {
  size_t count = engine->watch_count ? engine->watch_count : 16;
  while (count <= (size_t)fd)
    count *= 2;
  if (count == engine->watch_count)
    return true;
  wrenn_watch **watches =
      realloc(engine->watches, count * sizeof(wrenn_watch *));
  if (!watches)
    return false;
  for (size_t i = engine->watch_count; i < count; i++)
    watches[i] = NULL;
  engine->watches = watches;
  engine->watch_count = count;
  return true;
}

bool wrenn_watch_open(wrenn_engine *engine, curl_socket_t fd) {
  if (!make_room(engine, fd))
    return false;
  wrenn_watch_forget(engine, fd); /* in case its end was not reported */
  engine->watches[fd] = new_watch(engine, fd);
  return engine->watches[fd] != NULL;
}

bool wrenn_watch_take(wrenn_engine *engine, curl_socket_t fd,
                      wrenn_watch_cb *ready, void *arg) {
  if (!find_watch(engine, fd) && !wrenn_watch_open(engine, fd))
    return false;
  wrenn_watch *w = engine->watches[fd];
  w->ready = ready;
  w->arg = arg;
  return true;
}

void wrenn_watch_want(wrenn_engine *engine, curl_socket_t fd, int events) {
  wrenn_watch_for(engine->watches[fd], events);
}

/* The most that is kept of what nobody has read. */
#define MAX_UNREAD ((size_t)256 * 1024)

static void keep_unread(wrenn_transfer *transfer, curl_socket_t fd) {
  char bytes[4096];
  wrenn_buf *unread = &transfer->unread;
  wrenn_buf_clear(unread);
  while (unread->len < MAX_UNREAD) {
    ssize_t len = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (len > 0)
      wrenn_buf_append(unread, bytes, (size_t)len);
    else if (len == 0 || errno != EINTR)
      return;
  }
}

int wrenn_watch_close(void *arg, curl_socket_t fd) {
  const wrenn_watch *w = find_watch(arg, fd);
  if (w && w->user && w->user->keep_unread)
    keep_unread(w->user, fd);
  wrenn_watch_forget(arg, fd);
  return close(fd);
}

void wrenn_watch_close_all(wrenn_engine *engine) {
  for (size_t i = 0; i < engine->watch_count; i++)
    end_watch(engine->watches[i]);
  free(engine->watches);
  engine->watches = NULL;
  engine->watch_count = 0;
}

void wrenn_watch_hold(wrenn_transfer *transfer, bool held) {
  wrenn_watch *w = find_watch(transfer->engine, transfer->socket);
  transfer->held = held;
  if (w && w->user == transfer && !w->since && !w->ready)
    wrenn_watch_for(w, due(w));
}

/* ---- what libcurl wants -------------------------------------------------- */

static int wanted_of(int what) {
  switch (what) {
  case CURL_POLL_IN:
    return UV_READABLE;
  case CURL_POLL_OUT:
    return UV_WRITABLE;
  case CURL_POLL_INOUT:
    return UV_READABLE | UV_WRITABLE;
  default:
    return 0;
  }
}

int wrenn_watch_change(CURL *easy, curl_socket_t fd, int what, void *arg,
                       void *socket_arg) {
  wrenn_engine *engine = arg;
  wrenn_watch *kept = find_watch(engine, fd);
  wrenn_watch *w = kept ? kept : socket_arg;
  wrenn_transfer *transfer = NULL;
  if (what == CURL_POLL_REMOVE) {
    if (kept && !kept->since && !(kept->user && kept->user->reached)) {
      /* libcurl 7.88 closes sockets that fail to connect without calling back;
       * it only stops watching them. */
      wrenn_watch_forget(engine, fd);
    } else if (kept) {
      kept->wanted = 0; /* on_poll stops watching if needed */
    } else if (w) {
      curl_multi_assign(engine->multi, fd, NULL);
      end_watch(w);
    }
    return 0;
  }
  if (!w) { /* not a connection: the resolver's */
    w = new_watch(engine, fd);
    if (!w)
      return -1;
    curl_multi_assign(engine->multi, fd, w);
  }
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
  if (kept && transfer)
    wrenn_idle_end(w, transfer);
  w->wanted = wanted_of(what);
  wrenn_watch_for(w, due(w));
  return 0;
}
