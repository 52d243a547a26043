/* Idle connections. libcurl checks them only when another transfer starts, and
 * has no function to close one. So they are watched here, and a connection that
 * is to go is shut down, which libcurl treats as dead when it checks; to make
 * it check, a transfer is started that cannot succeed. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "connection.h"

/* How long they are kept: libcurl's default. */
#define KEPT_MS 118000
/* libcurl checks at most once per second. */
#define AGAIN_MS 1001

static void on_idle_timer(uv_timer_t *timer);

static void come_back(wrenn_engine *engine, uint64_t ms) {
  uv_timer_t *timer = &engine->idle_timer;
  if (engine->closing ||
      (uv_is_active((uv_handle_t *)timer) && uv_timer_get_due_in(timer) <= ms))
    return;
  uv_timer_start(timer, on_idle_timer, ms, 0);
  wrenn_loop_wake(engine->loop);
}

/* Discards received data, which nobody requested and which would hide the end
 * of the connection behind it. */
static void drain(curl_socket_t fd) {
  char bytes[4096];
  ssize_t len;
  do
    len = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  while (len > 0 || (len < 0 && errno == EINTR));
}

static void drop(wrenn_watch *w) {
  if (w->dropped)
    return;
  w->dropped = true;
  wrenn_watch_for(w, 0);
  shutdown(w->fd, SHUT_RDWR);
  drain(w->fd);
  come_back(w->engine, 0);
}

/* ---- the broom ----------------------------------------------------------- */

static curl_socket_t open_nothing(void *arg, curlsocktype purpose,
                                  struct curl_sockaddr *address) {
  (void)arg;
  (void)purpose;
  (void)address;
  return CURL_SOCKET_BAD;
}

static void on_swept(wrenn_transfer *broom, CURLcode code) {
  wrenn_engine *engine = broom->engine;
  (void)code;
  curl_multi_remove_handle(engine->multi, broom->easy);
  engine->sweeping = false;
  for (size_t fd = 0; fd < engine->watch_count; fd++)
    if (engine->watches[fd] && engine->watches[fd]->dropped)
      come_back(engine, AGAIN_MS);
}

static void sweep(wrenn_engine *engine) {
  CURL *easy = engine->broom.easy;
  if (engine->sweeping)
    return;
  if (!easy) {
    easy = curl_easy_init();
    if (!easy)
      return;
    engine->broom.easy = easy;
    engine->broom.engine = engine;
    engine->broom.done = on_swept;
    curl_easy_setopt(easy, CURLOPT_URL, "http://127.0.0.1/");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Newer libcurls do not look before what has to be a new connection; so
     * this one wants an end that none of the kept ones has asked for. */
    curl_easy_setopt(easy, CURLOPT_LOCALPORT, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)INT_MAX / 1000);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_nothing);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, &engine->broom);
  }
  engine->sweeping = !curl_multi_add_handle(engine->multi, easy);
}

/* ---- time ---------------------------------------------------------------- */

static void on_idle_timer(uv_timer_t *timer) {
  wrenn_engine *engine = timer->data;
  uint64_t now = uv_now(&engine->loop->uv);
  bool dropped = false;
  for (size_t fd = 0; fd < engine->watch_count; fd++) {
    wrenn_watch *w = engine->watches[fd];
    if (!w || !w->since)
      continue;
    if (now >= w->since + KEPT_MS)
      drop(w);
    if (w->dropped)
      dropped = true;
    else
      come_back(engine, w->since + KEPT_MS - now);
  }
  if (dropped)
    sweep(engine);
}

/* ---- from and to a transfer ---------------------------------------------- */

void wrenn_idle_end(wrenn_watch *watch, wrenn_transfer *transfer) {
  watch->user = transfer;
  watch->since = 0;
  transfer->socket = watch->fd;
}

static wrenn_watch *watch_at(const wrenn_engine *engine, curl_socket_t fd) {
  return fd > 0 && (size_t)fd < engine->watch_count ? engine->watches[fd]
                                                    : NULL;
}

/* Writes the address as text, and returns the port; 0 if there is none. */
static int name_of(const struct sockaddr_storage *address,
                   char text[INET6_ADDRSTRLEN]) {
  const struct sockaddr_in *four = (const struct sockaddr_in *)address;
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
  bool is_six = address->ss_family == AF_INET6;
  if (!is_six && address->ss_family != AF_INET)
    return 0;
  if (!inet_ntop(address->ss_family,
                 is_six ? (const void *)&six->sin6_addr : &four->sin_addr, text,
                 INET6_ADDRSTRLEN))
    return 0;
  return ntohs(is_six ? six->sin6_port : four->sin_port);
}

/* Notes both ends. Other servers' connections may have the same local port. */
static void remember(wrenn_watch *w) {
  struct sockaddr_storage here = {0}, there = {0};
  socklen_t here_len = sizeof(here), there_len = sizeof(there);
  char text[INET6_ADDRSTRLEN];
  if (getsockname(w->fd, (struct sockaddr *)&here, &here_len) ||
      getpeername(w->fd, (struct sockaddr *)&there, &there_len))
    return;
  w->port = name_of(&here, text);
  w->peer_port = name_of(&there, w->peer);
}

void wrenn_idle_begin(wrenn_transfer *transfer, curl_socket_t kept) {
  wrenn_engine *engine = transfer->engine;
  wrenn_watch *w = watch_at(engine, transfer->socket);
  if (!w || w->user != transfer) /* closed, or in use again */
    return;
  if (kept != w->fd) { /* closed unnoticed before it was connected */
    wrenn_watch_forget(engine, w->fd);
    return;
  }
  w->user = NULL;
  if (!transfer->reached) /* it is not kept, and may have been closed */
    return;
  w->owner = transfer->owner;
  w->since = uv_now(&engine->loop->uv);
  if (!w->port)
    remember(w);
  wrenn_watch_for(w, UV_READABLE);
  if (w->doomed)
    drop(w);
  else
    come_back(engine, KEPT_MS);
}

/* ---- what happens to them ------------------------------------------------ */

/* Whatever a server sends unrequested makes a connection unusable: the end, a
 * second answer, or the end of TLS. Session tickets come before an answer. */
static bool is_over(const wrenn_watch *w) {
  char byte;
  ssize_t got = recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 ||
         (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void wrenn_idle_event(wrenn_watch *watch, int status) {
  if (status < 0 || is_over(watch))
    drop(watch);
  else
    wrenn_watch_for(watch, UV_READABLE);
}

bool wrenn_idle_take(wrenn_transfer *transfer, const char *peer, int peer_port,
                     int port) {
  const wrenn_engine *engine = transfer->engine;
  for (size_t fd = 0; fd < engine->watch_count; fd++) {
    wrenn_watch *w = engine->watches[fd];
    if (!w || !w->since || w->port != port || w->peer_port != peer_port ||
        strcmp(w->peer, peer) != 0)
      continue;
    if (w->dropped || is_over(w))
      return false;
    wrenn_idle_end(w, transfer);
    return true;
  }
  return true;
}

wrenn_status wrenn_release(wrenn_loop *loop, uint32_t owner) {
  wrenn_status status = wrenn_loop_check(loop);
  wrenn_engine *engine = loop->engine;
  if (status || !engine || !owner)
    return status;
  for (size_t fd = 0; fd < engine->watch_count; fd++) {
    wrenn_watch *w = engine->watches[fd];
    if (w && w->since && w->owner == owner)
      drop(w);
    else if (w && w->user && w->user->owner == owner)
      w->doomed = true;
  }
  return WRENN_OK;
}

/* ---- with the engine ----------------------------------------------------- */

void wrenn_idle_init(wrenn_engine *engine) {
  uv_timer_init(&engine->loop->uv, &engine->idle_timer);
  engine->idle_timer.data = engine;
  engine->open_handles++;
}

static void on_closed(uv_handle_t *handle) {
  wrenn_engine_release(handle->data);
}

void wrenn_idle_free(wrenn_engine *engine) {
  if (engine->sweeping)
    curl_multi_remove_handle(engine->multi, engine->broom.easy);
  if (engine->broom.easy)
    curl_easy_cleanup(engine->broom.easy);
  uv_close((uv_handle_t *)&engine->idle_timer, on_closed);
}
