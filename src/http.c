/* HTTP on libcurl's multi interface, driven by the loop's libuv handles. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "http_engine.h"
#include "op.h"

#define MAX_HEADERS ((size_t)1024 * 1024)
#define MAX_BODY ((size_t)1024 * 1024 * 1024)
#define MAX_RESERVE ((size_t)64 * 1024 * 1024)
#define CHUNK_SIZE ((size_t)64 * 1024)
/* An upload takes more while less than this waits to be sent. */
#define UPLOAD_WINDOW ((size_t)512 * 1024)

typedef struct http_op {
  wrenn_op op; /* first */
  wrenn_http_engine *engine;
  CURL *easy;
  struct curl_slist *headers;
  bool stream;
  bool upload;
  bool special;      /* the handle has options that not every request sets */
  bool head_done;    /* the final answer's headers are complete */
  bool recv_waiting; /* libcurl holds data back because of us */
  bool send_waiting; /* libcurl waits for upload data */
  bool want_room;    /* the user waits for WRITABLE */
  bool last;         /* the upload's end has been given */
  size_t max_body;
  int status;
  wrenn_buf head;
  wrenn_buf body;      /* of the answer, when buffered */
  wrenn_buf sending;   /* of the request */
  wrenn_buf queued;    /* of the request, behind `sending` */
  size_t sent;         /* of `sending` */
  wrenn_node *filling; /* the newest CHUNK while it is still in the queue */
  wrenn_status error;  /* why a callback stopped libcurl */
  char message[CURL_ERROR_SIZE];
} http_op;

/* ---- answer -------------------------------------------------------------- */

/* Not wrenn_op_node, here and below: it would end the operation inside a
 * callback of libcurl's, which must not lose its handle there. */
static wrenn_node *answer_node(http_op *http, wrenn_event_type type) {
  wrenn_node *node = wrenn_node_new(http->op.id, type, http->head.len);
  if (!node)
    return NULL;
  if (http->head.len)
    memcpy(node->bytes, http->head.data, http->head.len);
  node->event.status = http->status;
  node->event.headers_len = http->head.len;
  if (http->body.len) { /* handed on, not copied: it may be large */
    node->owned = http->body.data;
    node->event.data = http->body.data;
    node->event.data_len = http->body.len;
    http->body = (wrenn_buf){0};
  }
  return node;
}

/* Remembers why, and makes libcurl end the transfer. */
static size_t stop_with(http_op *http, wrenn_status error) {
  http->error = error;
  return 0;
}

/* Makes room for a body as long as its header says, within reason: the header
 * is only the server's word. */
static bool reserve_body(http_op *http) {
  curl_off_t length = 0;
  curl_easy_getinfo(http->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (length <= 0)
    return true;
  size_t size = (size_t)length;
  if (size > MAX_RESERVE)
    size = MAX_RESERVE;
  return wrenn_buf_reserve(&http->body, size);
}

static size_t on_header(char *line, size_t size, size_t count, void *arg) {
  http_op *http = arg;
  size_t len = size * count;
  wrenn_op_touch(&http->op);
  if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* 100s come first */
    wrenn_buf_clear(&http->head);
    return len;
  }
  if (http->head.len + len > MAX_HEADERS)
    return stop_with(http, WRENN_E_TOO_LARGE);
  bool blank = len <= 2 && (line[0] == '\r' || line[0] == '\n');
  if (!blank) {
    wrenn_buf_append(&http->head, line, len);
    return http->head.oom ? stop_with(http, WRENN_E_MEMORY) : len;
  }
  long status = 0;
  curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || http->head_done) /* interim answer, or trailers */
    return len;
  http->head_done = true;
  http->status = (int)status;
  http->stream = http->stream && status < 400;
  if (http->stream) {
    wrenn_node *node = answer_node(http, WRENN_EV_HEADERS);
    if (!node)
      return stop_with(http, WRENN_E_MEMORY);
    wrenn_op_emit(&http->op, node);
    return len;
  }
  return reserve_body(http) ? len : stop_with(http, WRENN_E_MEMORY);
}

/* Adds to the newest chunk while nobody has taken it: libcurl hands out 16 KiB
 * at a time, and an event costs more than a copy. */
static bool append_chunk(http_op *http, const char *data, size_t len) {
  while (len) {
    wrenn_node *node = http->filling;
    if (!node || node->event.data_len == node->cap) {
      if (node)
        node->filler = NULL;
      http->filling = NULL;
      node = wrenn_node_new(http->op.id, WRENN_EV_CHUNK, CHUNK_SIZE);
      if (!node)
        return false;
      node->filler = &http->filling;
      http->filling = node;
      wrenn_op_emit(&http->op, node);
    }
    size_t room = node->cap - node->event.data_len;
    size_t part = len < room ? len : room;
    memcpy(node->bytes + node->event.data_len, data, part);
    node->event.data_len += part;
    data += part;
    len -= part;
  }
  return true;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg) {
  http_op *http = arg;
  size_t len = size * count;
  wrenn_op_touch(&http->op);
  if (http->stream) {
    if (http->op.paused) {
      http->recv_waiting = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    return append_chunk(http, data, len) ? len
                                         : stop_with(http, WRENN_E_MEMORY);
  }
  if (len > http->max_body - http->body.len)
    return stop_with(http, WRENN_E_TOO_LARGE);
  wrenn_buf_append(&http->body, data, len);
  return http->body.oom ? stop_with(http, WRENN_E_MEMORY) : len;
}

/* ---- request body -------------------------------------------------------- */

static size_t unsent(const http_op *http) {
  return http->sending.len - http->sent + http->queued.len;
}

static size_t on_read(char *dst, size_t size, size_t count, void *arg) {
  http_op *http = arg;
  wrenn_op_touch(&http->op);
  if (http->sent == http->sending.len) {
    wrenn_buf spent = http->sending;
    http->sending = http->queued;
    http->queued = spent;
    wrenn_buf_clear(&http->queued);
    http->sent = 0;
  }
  size_t len = http->sending.len - http->sent;
  if (len == 0) {
    http->send_waiting = !http->last;
    return http->last ? 0 : CURL_READFUNC_PAUSE;
  }
  if (len > size * count)
    len = size * count;
  memcpy(dst, http->sending.data + http->sent, len);
  http->sent += len;
  if (http->want_room && unsent(http) < UPLOAD_WINDOW / 2) {
    http->want_room = false;
    wrenn_node *node = wrenn_node_new(http->op.id, WRENN_EV_WRITABLE, 0);
    if (!node) {
      http->error = WRENN_E_MEMORY;
      return CURL_READFUNC_ABORT;
    }
    wrenn_op_emit(&http->op, node);
  }
  return len;
}

/* ---- end ----------------------------------------------------------------- */

static wrenn_status classify(const http_op *http, CURLcode code) {
  long os_error = 0;
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
    return WRENN_E_RESOLVE;
  case CURLE_COULDNT_CONNECT:
    curl_easy_getinfo(http->easy, CURLINFO_OS_ERRNO, &os_error);
    return os_error == EMFILE || os_error == ENFILE ? WRENN_E_SYSTEM
                                                    : WRENN_E_CONNECT;
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_ISSUER_ERROR:
    return WRENN_E_TLS;
  case CURLE_PARTIAL_FILE:
    return WRENN_E_BROKEN;
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_SEND_FAIL_REWIND:
    return http->head_done || http->head.len ? WRENN_E_BROKEN : WRENN_E_CONNECT;
  case CURLE_OUT_OF_MEMORY:
    return WRENN_E_MEMORY;
  case CURLE_OPERATION_TIMEDOUT:
    return WRENN_E_TIMEOUT;
  default:
    return WRENN_E_PROTOCOL;
  }
}

static void finish(http_op *http, CURLcode code) {
  if (http->error == WRENN_E_SYSTEM) {
    wrenn_op_fail_fds(&http->op);
  } else if (http->error) {
    wrenn_op_fail(&http->op, http->error, "%s",
                  http->error == WRENN_E_TOO_LARGE
                      ? "the answer is over its limit"
                      : wrenn_strerror(http->error));
  } else if (code != CURLE_OK) {
    wrenn_op_fail(&http->op, classify(http, code), "%s",
                  http->message[0] ? http->message : curl_easy_strerror(code));
  } else {
    wrenn_node *node = answer_node(http, WRENN_EV_DONE);
    if (node)
      wrenn_op_finish(&http->op, node);
    else
      wrenn_op_fail(&http->op, WRENN_E_MEMORY, "%s",
                    wrenn_strerror(WRENN_E_MEMORY));
  }
}

/* ---- handles ------------------------------------------------------------- */

/* How many connections are kept that nobody uses: what else wants descriptors
 * must not find them all taken. */
static long most_kept(void) {
  rlim_t quarter = wrenn_fd_limit() / 4;
  return quarter < 4 ? 4 : quarter > 1024 ? 1024 : (long)quarter;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose,
                                    struct curl_sockaddr *address) {
  http_op *http = arg;
  (void)purpose;
  int fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
  if (fd < 0 && errno != EMFILE)
    return CURL_SOCKET_BAD;
  if (fd < 0 || !wrenn_fd_to_spare(fd))
    http->error = WRENN_E_SYSTEM;
  else if (!wrenn_watch_open(http->engine, fd))
    http->error = WRENN_E_MEMORY;
  else
    return fd;
  if (fd >= 0)
    close(fd);
  return CURL_SOCKET_BAD;
}

/* The connection stands (new or used again) and the request is about to go. */
static int on_connected(void *arg, char *remote_ip, char *local_ip,
                        int remote_port, int local_port) {
  http_op *http = arg;
  (void)remote_ip;
  (void)local_ip;
  (void)remote_port;
  (void)local_port;
  wrenn_op_connected(&http->op);
  return CURL_PREREQFUNC_OK;
}

/* What is the same for every request. */
static void prepare(wrenn_http_engine *engine, CURL *easy) {
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* do not wait for DNS */
  /* An empty proxy keeps libcurl from reading the environment itself. */
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  /* Deadlines are the op's: no limit of libcurl's own. */
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 1000L * 60 * 60 * 24);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 128L * 1024);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
  /* A connection outlives the request that opened it. */
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, wrenn_watch_close);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, engine);
}

static void give_back(wrenn_http_engine *engine, CURL *easy, bool special) {
  if (engine->closing || engine->spare_count == WRENN_SPARE_HANDLES) {
    curl_easy_cleanup(easy);
    return;
  }
  if (special) {
    curl_easy_reset(easy);
    prepare(engine, easy);
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
  engine->spare[engine->spare_count++] = easy;
}

static CURL *take_easy(wrenn_http_engine *engine) {
  if (engine->spare_count)
    return engine->spare[--engine->spare_count];
  CURL *easy = curl_easy_init();
  if (easy)
    prepare(engine, easy);
  return easy;
}

static void stop_http(wrenn_op *op) {
  http_op *http = (http_op *)op;
  if (http->filling)
    http->filling->filler = NULL;
  http->filling = NULL;
  if (http->easy) {
    curl_multi_remove_handle(http->engine->multi, http->easy);
    give_back(http->engine, http->easy, http->special);
    http->easy = NULL;
  }
  wrenn_op_unref(op);
}

static void free_http(wrenn_op *op) {
  http_op *http = (http_op *)op;
  if (http->easy)
    curl_easy_cleanup(http->easy);
  curl_slist_free_all(http->headers);
  wrenn_buf_free(&http->head);
  wrenn_buf_free(&http->body);
  wrenn_buf_free(&http->sending);
  wrenn_buf_free(&http->queued);
  free(http);
}

/* ---- libcurl and libuv --------------------------------------------------- */

static void collect_finished(wrenn_http_engine *engine) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(engine->multi, &left))) {
    http_op *http = NULL;
    if (message->msg != CURLMSG_DONE)
      continue;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&http);
    finish(http, code);
  }
}

void wrenn_http_act(wrenn_http_engine *engine, curl_socket_t fd, int events) {
  int running;
  curl_multi_socket_action(engine->multi, fd, events, &running);
  collect_finished(engine);
}

static void on_timer(uv_timer_t *timer) {
  wrenn_http_act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long ms, void *arg) {
  wrenn_http_engine *engine = arg;
  (void)multi;
  if (engine->closing)
    return 0;
  if (ms < 0) {
    uv_timer_stop(&engine->timer);
    return 0;
  }
  uv_update_time(&engine->loop->uv);
  uv_timer_start(&engine->timer, on_timer, (uint64_t)ms, 0);
  wrenn_loop_dirty(engine->loop);
  return 0;
}

void wrenn_http_release(wrenn_http_engine *engine) {
  if (--engine->open_handles == 0)
    free(engine);
}

static void keep_to_ourselves(int fd) {
  int domain;
  socklen_t len = sizeof(domain);
  if (!getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) &&
      domain == AF_UNIX)
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* With its multi handle libcurl makes a pair of sockets that every program
 * which is started later would inherit. It tells nobody which: they are the
 * lowest free numbers. */
static CURLM *new_multi(void) {
  int first = eventfd(0, EFD_CLOEXEC);
  int second = eventfd(0, EFD_CLOEXEC);
  close(first);
  close(second);
  CURLM *multi = curl_multi_init();
  keep_to_ourselves(first);
  keep_to_ourselves(second);
  return multi;
}

static wrenn_http_engine *engine_of(wrenn_loop *loop) {
  if (loop->http)
    return loop->http;
  wrenn_http_engine *engine = calloc(1, sizeof(*engine));
  if (!engine)
    return NULL;
  engine->loop = loop;
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
  engine->open_handles = 1;
  loop->http = engine;
  return engine;
}

static void on_engine_timer_closed(uv_handle_t *handle) {
  wrenn_http_release(handle->data);
}

void wrenn_http_engine_free(wrenn_http_engine *engine) {
  if (!engine)
    return;
  engine->closing = true;
  while (engine->spare_count > 0)
    curl_easy_cleanup(engine->spare[--engine->spare_count]);
  curl_multi_cleanup(engine->multi);
  wrenn_watch_close_all(engine);
  uv_close((uv_handle_t *)&engine->timer, on_engine_timer_closed);
}

/* ---- start --------------------------------------------------------------- */

static void kick_http(wrenn_op *op) {
  http_op *http = (http_op *)op;
  bool go_on = false;
  if (http->recv_waiting && !op->paused) {
    http->recv_waiting = false;
    go_on = true;
  }
  if (http->send_waiting && (http->queued.len || http->last)) {
    http->send_waiting = false;
    go_on = true;
  }
  /* A direction that still waits says so again when libcurl asks. */
  if (go_on)
    curl_easy_pause(http->easy, CURLPAUSE_CONT);
}

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

static bool method_ok(const char *method) {
  size_t len = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  return len > 0 && method[len] == '\0';
}

static bool url_ok(const char *url) {
  return !has_control(url) && !strchr(url, ' ') &&
         (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0);
}

static bool add_header(http_op *http, const char *line) {
  struct curl_slist *longer = curl_slist_append(http->headers, line);
  if (longer)
    http->headers = longer;
  return longer != NULL;
}

/* The body goes through a read function that cannot rewind, so that libcurl
 * never sends a request twice by itself once a byte of its body is out. */
static void set_body(http_op *http, const char *method, bool has_body,
                     curl_off_t size) {
  CURL *easy = http->easy;
  http->special = http->special || strcmp(method, "GET") != 0 || has_body;
  if (has_body) {
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(easy, CURLOPT_READDATA, http);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, size);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
  } else if (strcmp(method, "HEAD") == 0) {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (strcmp(method, "GET") != 0) {
    if (strcmp(method, "DELETE") != 0) { /* says Content-Length: 0 */
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
  }
}

static void set_net(http_op *http, const wrenn_net *net) {
  CURL *easy = http->easy;
  http->special = http->special || net->proxy || net->ca_file || net->insecure;
  if (net->proxy)
    curl_easy_setopt(easy, CURLOPT_PROXY, net->proxy);
  if (net->ca_file) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, net->ca_file);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
  }
  if (net->insecure) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

static void set_transfer(http_op *http, const char *url) {
  CURL *easy = http->easy;
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->message);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, http);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, http);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, http);
}

wrenn_status wrenn_http_start(wrenn_loop *loop,
                              const wrenn_http_options *options, wrenn_id *id) {
  static const wrenn_op_class class = {kick_http, stop_http, free_http};
  const char *method = options->method ? options->method : "GET";
  bool has_body = options->upload || options->body_len > 0;
  wrenn_status status = wrenn_loop_check(loop);
  http_op *http = NULL;
  if (status)
    return status;
  if (!method_ok(method) || !options->url || !url_ok(options->url))
    return WRENN_E_ARGUMENT;
  status = WRENN_E_MEMORY;
  http = calloc(1, sizeof(*http));
  if (!http)
    goto out;
  http->engine = engine_of(loop);
  http->easy = http->engine ? take_easy(http->engine) : NULL;
  if (!http->easy)
    goto out;
  for (size_t i = 0; i < options->header_count; i++) {
    if (!wrenn_header_line_ok(options->headers[i])) {
      status = WRENN_E_ARGUMENT;
      goto out;
    }
    if (!add_header(http, options->headers[i]))
      goto out;
  }
  if (has_body && !add_header(http, "Expect:"))
    goto out;
  http->stream = options->stream;
  http->upload = options->upload;
  http->last = !options->upload;
  http->max_body = options->max_body ? options->max_body : MAX_BODY;
  wrenn_buf_append(&http->sending, options->body, options->body_len);
  if (http->sending.oom)
    goto out;
  set_transfer(http, options->url);
  set_net(http, &options->net);
  set_body(http, method, has_body,
           options->upload ? (curl_off_t)options->upload_size
                           : (curl_off_t)options->body_len);
  status = wrenn_op_start(loop, &http->op, &class, &options->deadlines);
  if (status)
    goto out;
  *id = http->op.id;
  loop->tls = loop->tls || strncmp(options->url, "https", 5) == 0;
  if (curl_multi_add_handle(http->engine->multi, http->easy))
    wrenn_op_fail(&http->op, WRENN_E_SYSTEM, "libcurl refused the request");
  http = NULL;

out:
  if (http)
    free_http(&http->op);
  return status;
}

wrenn_status wrenn_http_send(wrenn_loop *loop, wrenn_id id, const void *data,
                             size_t len, bool last, bool *room) {
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  wrenn_op *op = wrenn_op_find(loop, id);
  if (!op || op->class->stop != stop_http)
    return WRENN_E_CLOSED;
  http_op *http = (http_op *)op;
  if (!http->upload || http->last)
    return WRENN_E_ARGUMENT;
  wrenn_buf_append(&http->queued, data, len);
  if (http->queued.oom) {
    wrenn_op_fail(&http->op, WRENN_E_MEMORY, "%s",
                  wrenn_strerror(WRENN_E_MEMORY));
    return WRENN_E_MEMORY;
  }
  http->last = last;
  http->want_room = !last && unsent(http) >= UPLOAD_WINDOW;
  if (room)
    *room = !http->want_room;
  wrenn_op_kick(&http->op);
  return WRENN_OK;
}
