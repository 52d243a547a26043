#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "descriptor.h"
#include "system.h"

/* ---- what may be sent ---------------------------------------------------- */

static bool has_control(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < ' ' || *text == 0x7f)
      return true;
  return false;
}

bool wrenn_header_line_ok(const char *line) {
  const char *colon = strchr(line, ':');
  return colon && colon != line && !memchr(line, ' ', (size_t)(colon - line)) &&
         !has_control(line);
}

bool wrenn_url_ok(const char *url, const char *scheme) {
  size_t len = strlen(scheme);
  if (has_control(url) || strchr(url, ' ') || strncmp(url, scheme, len))
    return false;
  url += len + (url[len] == 's');
  return strncmp(url, "://", 3) == 0 && url[3];
}

/* ---- descriptors --------------------------------------------------------- */

/* In libcurl 7.88 an event-driven transfer starts with the last address of a
 * host and then waits for its deadline. So connecting transfers are made to
 * check again periodically, by a change of their pause state. */
#define NUDGE_MS 100

static void forget_connecting(wrenn_transfer *transfer) {
  wrenn_engine *engine = transfer->engine;
  wrenn_transfer **at = &engine->connecting;
  if (!transfer->connecting)
    return;
  transfer->connecting = false;
  while (*at != transfer)
    at = &(*at)->next_connecting;
  *at = transfer->next_connecting;
  if (!engine->connecting && !engine->closing)
    uv_timer_stop(&engine->nudge);
}

static void on_nudge(uv_timer_t *timer) {
  wrenn_engine *engine = timer->data;
  wrenn_transfer *next;
  for (wrenn_transfer *t = engine->connecting; t; t = next) {
    next = t->next_connecting;
    if (t->reached) {
      forget_connecting(t);
      continue;
    }
    curl_easy_pause(t->easy, CURLPAUSE_RECV);
    curl_easy_pause(t->easy, CURLPAUSE_CONT);
  }
}

static void note_connecting(wrenn_transfer *transfer) {
  wrenn_engine *engine = transfer->engine;
  transfer->reached = false;
  if (transfer->connecting)
    return;
  transfer->connecting = true;
  transfer->next_connecting = engine->connecting;
  if (!engine->connecting)
    uv_timer_start(&engine->nudge, on_nudge, NUDGE_MS, NUDGE_MS);
  engine->connecting = transfer;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose,
                                    struct curl_sockaddr *address) {
  wrenn_transfer *transfer = arg;
  (void)purpose;
  int fd = wrenn_above_streams(
      wrenn_socket(address->family, address->socktype, address->protocol));
  if (fd < 0 && errno != EMFILE)
    return CURL_SOCKET_BAD;
  if (fd < 0 || !wrenn_fd_to_spare(fd))
    transfer->error = WRENN_E_SYSTEM;
  else if (!wrenn_watch_open(transfer->engine, fd))
    transfer->error = WRENN_E_MEMORY;
  else {
    note_connecting(transfer);
    return fd;
  }
  if (fd >= 0)
    close(fd);
  return CURL_SOCKET_BAD;
}

static void keep_to_ourselves(int fd) {
  struct sockaddr_storage name = {0};
  socklen_t len = sizeof(name);
  if (!getsockname(fd, (struct sockaddr *)&name, &len) &&
      name.ss_family == AF_UNIX)
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* libcurl creates a pair of sockets with its multi handle, without
 * close-on-exec, and does not report them. They have the lowest free
 * numbers. */
static CURLM *new_multi(void) {
  wrenn_streams held = wrenn_streams_hold();
  int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int second = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(first);
  close(second);
  CURLM *multi = curl_multi_init();
  wrenn_streams_release(&held);
  keep_to_ourselves(first);
  keep_to_ourselves(second);
  return multi;
}

/* The number of unused connections that are kept: they must not take all
 * descriptors. */
static long most_kept(void) {
  rlim_t quarter = wrenn_fd_limit() / 4;
  return quarter < 4 ? 4 : quarter > 1024 ? 1024 : (long)quarter;
}

/* ---- trust --------------------------------------------------------------- */

/* Returns NULL for a variable that is empty. */
static const char *environment(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

static void trust(CURL *easy, const char *file, const char *dir) {
  curl_easy_setopt(easy, CURLOPT_CAINFO, file);
  curl_easy_setopt(easy, CURLOPT_CAPATH, dir);
  curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, file);
  curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, dir);
}

/* The first of these that is set is used: ca_file, the environment variables of
 * OpenSSL, the system's default. libcurl caches a file for many connections,
 * but only if no directory is given as well; with Debian's that costs 35 ms per
 * connection. So the system's directory, which has the same contents, is used
 * only if there is no file. */
static void trust_by_default(CURL *easy) {
  const char *file = environment("SSL_CERT_FILE");
  const char *dir = environment("SSL_CERT_DIR");
  if (!file && !dir) {
    curl_easy_getinfo(easy, CURLINFO_CAINFO, &file);
    curl_easy_getinfo(easy, CURLINFO_CAPATH, &dir);
    if (file && access(file, R_OK) == 0)
      dir = NULL;
    else
      file = NULL;
  }
  trust(easy, file, dir);
}

static void set_trust(wrenn_transfer *transfer, const wrenn_net *net) {
  CURL *easy = transfer->easy;
  transfer->special = transfer->special || net->ca_file || net->insecure;
  if (net->ca_file)
    trust(easy, net->ca_file, NULL);
  if (!net->insecure)
    return;
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYHOST, 0L);
}

/* ---- proxies ------------------------------------------------------------- */

/* The host in a URL, with the brackets of an IPv6 literal. */
static const char *host_of(const char *url, size_t *len) {
  const char *host = strstr(url, "://") + 3;
  const char *end = host + strcspn(host, "/?#");
  for (const char *at = host; at < end; at++)
    if (*at == '@')
      host = at + 1;
  *len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
  return host;
}

static bool is_loopback(const char *host, size_t len) {
  static const char name[] = "localhost";
  size_t rest = sizeof(name) - 1;
  struct in_addr address;
  char text[INET_ADDRSTRLEN];
  if (len >= rest && !strncasecmp(host + len - rest, name, rest))
    return len == rest || host[len - rest - 1] == '.';
  if (len == 5 && memcmp(host, "[::1]", 5) == 0)
    return true;
  if (len >= sizeof(text))
    return false;
  memcpy(text, host, len);
  text[len] = '\0';
  return inet_pton(AF_INET, text, &address) == 1 &&
         ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* The proxies of the environment are left to libcurl, except that loopback
 * addresses never go through one of them. An explicit proxy is used for every
 * host, whatever NO_PROXY says. */
static void set_proxy(wrenn_transfer *transfer, const char *url,
                      const char *proxy, wrenn_loop *loop) {
  CURL *easy = transfer->easy;
  size_t len;
  const char *host = host_of(url, &len);
  bool local = is_loopback(host, len);
  curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
  curl_easy_setopt(easy, CURLOPT_NOPROXY, proxy ? "" : local ? "*" : NULL);
  transfer->tls = strncmp(url, "https", 5) == 0 ||
                  (proxy ? strncasecmp(proxy, "https", 5) == 0 : !local);
  loop->sigpipe =
      loop->sigpipe || (transfer->tls && transfer->engine->tls_raises);
}

/* ---- handles ------------------------------------------------------------- */

/* Sets the options that all transfers share. */
static void set_up(wrenn_engine *engine, CURL *easy) {
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* do not wait for DNS */
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION,
                   (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  /* Unused connections are closed by idle.c, as libcurl's limit also counts
   * those that only it takes for unused. This is the maximum. */
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)INT_MAX / 1000);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)WRENN_BODY_SIZE);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  /* A connection outlives the transfer that opened it. */
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, wrenn_watch_close);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, engine);
  trust_by_default(easy);
}

static void discard(wrenn_handle handle) {
  curl_easy_cleanup(handle.easy);
  curl_url_cleanup(handle.url);
  free(handle.origin);
}

/* A handle that was stopped half-way may not serve again: libcurl 8.14 fails
 * all that it is used for once it should have sent a body twice. */
static void give_back(wrenn_engine *engine, wrenn_handle handle, bool special,
                      bool well) {
  CURL *easy = handle.easy;
  if (engine->closing || !well || engine->spare_count == WRENN_SPARE_HANDLES) {
    discard(handle);
    return;
  }
  if (special) {
    curl_easy_reset(easy);
    set_up(engine, easy);
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
  engine->spare[engine->spare_count++] = handle;
}

static wrenn_handle take_handle(wrenn_engine *engine) {
  if (engine->spare_count)
    return engine->spare[--engine->spare_count];
  wrenn_handle handle = {.easy = curl_easy_init(), .url = curl_url()};
  if (handle.easy && handle.url) {
    set_up(engine, handle.easy);
    return handle;
  }
  discard(handle);
  return (wrenn_handle){0};
}

/* Replaces what is behind the origin. libcurl changes the case of escaped bytes
 * that are given to it alone. */
static bool set_rest(wrenn_handle *handle, const char *rest) {
  char path[512];
  size_t len = strcspn(rest, "?");
  const char *query = rest[len] ? rest + len + 1 : NULL;
  if (rest[0] != '/' || len >= sizeof(path) || strpbrk(rest, "%#"))
    return false;
  memcpy(path, rest, len);
  path[len] = '\0';
  return !curl_url_set(handle->url, CURLUPART_PATH, path, 0) &&
         !curl_url_set(handle->url, CURLUPART_QUERY, query, 0);
}

/* A URL that libcurl does not like is given to it as it is: it then says
 * why. */
static void set_url(wrenn_handle *handle, const char *url) {
  const char *host = strstr(url, "://") + 3;
  size_t len = (size_t)(host - url) + strcspn(host, "/?#");
  bool parsed = handle->origin && strlen(handle->origin) == len &&
                memcmp(handle->origin, url, len) == 0 &&
                set_rest(handle, url + len);
  if (!parsed) {
    free(handle->origin);
    handle->origin = NULL;
    parsed = !curl_url_set(handle->url, CURLUPART_URL, url, CURLU_PATH_AS_IS);
    if (parsed)
      handle->origin = strndup(url, len);
  }
  curl_easy_setopt(handle->easy, CURLOPT_URL, url);
  curl_easy_setopt(handle->easy, CURLOPT_CURLU, parsed ? handle->url : NULL);
}

static wrenn_engine *engine_of(wrenn_loop *loop);

wrenn_status wrenn_transfer_prepare(wrenn_loop *loop, wrenn_transfer *transfer,
                                    const char *url, const wrenn_net *net,
                                    const wrenn_deadlines *limits) {
  transfer->engine = engine_of(loop);
  transfer->owner = net->owner;
  if (transfer->engine)
    transfer->handle = take_handle(transfer->engine);
  transfer->easy = transfer->handle.easy;
  if (!transfer->easy)
    return WRENN_E_MEMORY;
  CURL *easy = transfer->easy;
  set_url(&transfer->handle, url);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->message);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
  /* The deadline is enforced by the operation. libcurl needs it to divide the
   * time among addresses: each but the last gets half of what is left. */
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   limits->connect_ms ? (long)limits->connect_ms + 1
                                      : 1000L * 60 * 60 * 24);
  set_trust(transfer, net);
  set_proxy(transfer, url, net->proxy, loop);
  return WRENN_OK;
}

/* libcurl considers a connection that it has only opened to be unused, and
 * would close others to make room. */
static void carry(wrenn_transfer *transfer, long more) {
  wrenn_engine *engine = transfer->engine;
  if (!transfer->carries || engine->closing)
    return;
  engine->carrying += more;
  curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS,
                    most_kept() + engine->carrying);
}

void wrenn_transfer_go(wrenn_transfer *transfer) {
  transfer->begun = true;
  carry(transfer, 1);
  if (curl_multi_add_handle(transfer->engine->multi, transfer->easy))
    wrenn_op_fail(&transfer->op, WRENN_E_SYSTEM,
                  "libcurl refused the operation");
}

static void act_at_once(wrenn_loop *loop) {
  wrenn_engine_act(loop->engine, CURL_SOCKET_TIMEOUT, 0);
}

/* Over a kept connection a request is on its way before the call returns, and
 * the caller's preparations to wait for the answer take no time. */
void wrenn_transfer_send(wrenn_transfer *transfer) {
  wrenn_loop *loop = transfer->op.loop;
  wrenn_transfer_go(transfer);
  wrenn_loop_do(loop, act_at_once);
}

void wrenn_transfer_renew(wrenn_transfer *transfer) {
  curl_multi_remove_handle(transfer->engine->multi, transfer->easy);
  carry(transfer, -1);
  transfer->special = true;
  transfer->error = WRENN_OK;
  curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
  wrenn_transfer_go(transfer);
}

void wrenn_transfer_end(wrenn_transfer *transfer) {
  CURL *easy = transfer->easy;
  transfer->easy = NULL;
  if (!easy)
    return;
  transfer->keep_unread = false; /* nobody asks any more */
  forget_connecting(transfer);
  curl_socket_t kept = CURL_SOCKET_BAD;
  curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &kept);
  curl_multi_remove_handle(transfer->engine->multi, easy);
  wrenn_idle_begin(transfer, kept);
  if (transfer->begun)
    carry(transfer, -1);
  give_back(transfer->engine, transfer->handle, transfer->special,
            transfer->well || !transfer->begun);
}

/* ---- failures ------------------------------------------------------------ */

static wrenn_status status_of(const wrenn_transfer *transfer, CURLcode code,
                              wrenn_status otherwise) {
  long os_error = 0;
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
    return WRENN_E_RESOLVE;
  case CURLE_COULDNT_CONNECT:
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_error);
    return os_error == EMFILE || os_error == ENFILE ? WRENN_E_SYSTEM
                                                    : WRENN_E_CONNECT;
  case CURLE_PROXY:
    return WRENN_E_CONNECT;
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_ISSUER_ERROR:
    return WRENN_E_TLS;
  case CURLE_OUT_OF_MEMORY:
    return WRENN_E_MEMORY;
  case CURLE_OPERATION_TIMEDOUT:
    return WRENN_E_TIMEOUT;
  default:
    return otherwise;
  }
}

void wrenn_transfer_fail(wrenn_transfer *transfer, CURLcode code,
                         wrenn_status otherwise) {
  if (transfer->error == WRENN_E_SYSTEM)
    wrenn_op_fail_fds(&transfer->op);
  else if (transfer->error)
    wrenn_op_fail(&transfer->op, transfer->error, "%s",
                  transfer->error == WRENN_E_TOO_LARGE
                      ? "the answer is over its limit"
                      : wrenn_strerror(transfer->error));
  else
    wrenn_op_fail(&transfer->op, status_of(transfer, code, otherwise), "%s",
                  transfer->message[0] ? transfer->message
                                       : curl_easy_strerror(code));
}

/* ---- libcurl and libuv --------------------------------------------------- */

static void collect_finished(wrenn_engine *engine) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(engine->multi, &left))) {
    wrenn_transfer *transfer = NULL;
    if (message->msg != CURLMSG_DONE)
      continue;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
                      (char **)&transfer);
    if (transfer != &engine->broom)
      forget_connecting(transfer);
    transfer->well = code == CURLE_OK;
    transfer->done(transfer, code);
  }
}

void wrenn_engine_act(wrenn_engine *engine, curl_socket_t fd, int events) {
  int running;
  curl_multi_socket_action(engine->multi, fd, events, &running);
  collect_finished(engine);
}

static void on_timer(uv_timer_t *timer) {
  wrenn_engine_act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long ms, void *arg) {
  wrenn_engine *engine = arg;
  (void)multi;
  if (engine->closing)
    return 0;
  if (ms < 0) {
    uv_timer_stop(&engine->timer);
    return 0;
  }
  uv_update_time(&engine->loop->uv);
  uv_timer_start(&engine->timer, on_timer, (uint64_t)ms, 0);
  wrenn_loop_wake(engine->loop);
  return 0;
}

/* Whether what is sent over TLS may raise SIGPIPE. OpenSSL would write by
 * itself, but newer versions of libcurl send for it what it has encrypted. */
static bool may_raise_sigpipe(void) {
  const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
  return curl->version_num < 0x075801 || !curl->ssl_version ||
         strncmp(curl->ssl_version, "OpenSSL/", strlen("OpenSSL/")) != 0;
}

static wrenn_engine *engine_of(wrenn_loop *loop) {
  if (loop->engine)
    return loop->engine;
  wrenn_engine *engine = calloc(1, sizeof(*engine));
  if (!engine)
    return NULL;
  engine->loop = loop;
  engine->tls_raises = may_raise_sigpipe();
  engine->multi = new_multi();
  if (!engine->multi) {
    free(engine);
    return NULL;
  }
  curl_multi_setopt(engine->multi, CURLMOPT_SOCKETFUNCTION, wrenn_watch_change);
  curl_multi_setopt(engine->multi, CURLMOPT_SOCKETDATA, engine);
  curl_multi_setopt(engine->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
  curl_multi_setopt(engine->multi, CURLMOPT_TIMERDATA, engine);
  curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, most_kept());
  uv_timer_init(&loop->uv, &engine->timer);
  engine->timer.data = engine;
  uv_timer_init(&loop->uv, &engine->nudge);
  engine->nudge.data = engine;
  engine->open_handles = 2;
  wrenn_idle_init(engine);
  loop->engine = engine;
  return engine;
}

wrenn_block *wrenn_engine_block(wrenn_engine *engine) {
  if (engine->block && engine->block->refs > 1) { /* parts of it are in use */
    wrenn_block_unref(engine->block);
    engine->block = NULL;
  }
  if (!engine->block)
    engine->block = wrenn_block_new(WRENN_READ_SIZE);
  return engine->block;
}

void wrenn_engine_release(wrenn_engine *engine) {
  if (--engine->open_handles > 0)
    return;
  wrenn_block_unref(engine->block);
  free(engine);
}

static void on_engine_timer_closed(uv_handle_t *handle) {
  wrenn_engine_release(handle->data);
}

void wrenn_engine_free(wrenn_engine *engine) {
  if (!engine)
    return;
  engine->closing = true;
  while (engine->spare_count > 0)
    discard(engine->spare[--engine->spare_count]);
  wrenn_idle_free(engine);
  curl_multi_cleanup(engine->multi);
  wrenn_watch_close_all(engine);
  uv_close((uv_handle_t *)&engine->timer, on_engine_timer_closed);
  uv_close((uv_handle_t *)&engine->nudge, on_engine_timer_closed);
}
