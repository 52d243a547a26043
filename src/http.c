/* HTTP on libcurl's multi interface, driven by the loop's libuv handles. */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "buf.h"
#include "connection.h"
#include "head.h"
#include "outgoing.h"
#include "request.h"

#define MAX_RESERVE (64 * 1024 * 1024)
#define CHUNK_SIZE ((size_t)64 * 1024)
#define NO_ANSWER "the server closed the connection without an answer"
/* An upload accepts more while less than this waits to be sent. */
#define UPLOAD_WINDOW ((size_t)512 * 1024)

typedef struct http_op {
  wrenn_transfer transfer; /* first */
  wrenn_request *request;
  bool stream;
  bool upload;
  bool repeatable;   /* may be sent twice without harm */
  bool stale;        /* it got a kept connection that is not usable */
  bool renewed;      /* and was moved to a new one */
  bool left;         /* some of it was sent on a connection that broke */
  bool recv_waiting; /* libcurl holds data back for us */
  bool send_waiting; /* libcurl waits for upload data */
  bool want_room;    /* the user waits for WRITABLE */
  bool last;         /* the end of the upload has been given */
  size_t max_body;
  long before; /* what libcurl counts as sent without the request's own */
  wrenn_head head;
  const char *why;     /* constant text for transfer.error; NULL: the usual */
  wrenn_buf body;      /* of the answer, when buffered */
  wrenn_outgoing out;  /* the body of the request */
  wrenn_node *filling; /* the newest CHUNK if it is still queued */
} http_op;

/* ---- answer -------------------------------------------------------------- */

/* Not wrenn_op_node, here and below: that would end the operation inside a
 * callback of libcurl, where the handle must not be removed. */
static wrenn_node *answer_node(http_op *http, wrenn_event_type type) {
  const wrenn_buf *lines = &http->head.lines;
  wrenn_node *node = wrenn_node_new(http->transfer.op.id, type, lines->len);
  if (!node)
    return NULL;
  if (lines->len)
    memcpy(node->bytes, lines->data, lines->len);
  node->event.status = http->head.status;
  node->event.headers_len = lines->len;
  if (http->body.len) { /* passed on without a copy: it may be large */
    node->owned = http->body.data;
    node->event.data = http->body.data;
    node->event.data_len = http->body.len;
    http->body = (wrenn_buf){0};
  }
  return node;
}

/* Records the error, and makes libcurl end the transfer. */
static size_t stop_with(http_op *http, wrenn_status error, const char *why) {
  http->transfer.error = error;
  http->why = why;
  return 0;
}

static size_t no_memory(http_op *http) {
  return stop_with(http, WRENN_E_MEMORY, NULL);
}

static size_t too_large(http_op *http) {
  return stop_with(http, WRENN_E_TOO_LARGE,
                   "the answer's body is over its limit");
}

/* Reserves room for the body as announced, within reason: the length is only
 * the server's claim. */
static bool reserve_body(http_op *http) {
  int64_t length = http->head.length;
  if (length <= 0 || http->head.no_body)
    return true;
  return wrenn_buf_reserve(&http->body,
                           length > MAX_RESERVE ? MAX_RESERVE : (size_t)length);
}

static size_t on_head(http_op *http, size_t len) {
  wrenn_op_answered(&http->transfer.op);
  http->stream = http->stream && http->head.status < 400;
  if (http->stream) {
    wrenn_node *node = answer_node(http, WRENN_EV_HEADERS);
    if (!node)
      return no_memory(http);
    wrenn_op_emit(&http->transfer.op, node);
    return len;
  }
  if (!http->head.no_body && http->head.length > 0 &&
      (uint64_t)http->head.length > http->max_body)
    return too_large(http);
  return reserve_body(http) ? len : no_memory(http);
}

static size_t on_header(char *line, size_t size, size_t count, void *arg) {
  http_op *http = arg;
  wrenn_head *head = &http->head;
  size_t len = size * count;
  bool done = head->done;
  wrenn_op_touch(&http->transfer.op);
  if (!wrenn_head_take(head, line, len))
    return stop_with(http, head->error, head->why);
  wrenn_op_head(&http->transfer.op, head->begun);
  return head->done && !done ? on_head(http, len) : len;
}

/* Appends to the newest chunk while it is still queued: libcurl delivers 16 KiB
 * at a time, and an event costs more than a copy. */
static bool append_chunk(http_op *http, const char *data, size_t len) {
  while (len) {
    wrenn_node *node = http->filling;
    if (!node || node->event.data_len == node->cap) {
      if (node)
        node->filler = NULL;
      http->filling = NULL;
      node = wrenn_node_new(http->transfer.op.id, WRENN_EV_CHUNK, CHUNK_SIZE);
      if (!node)
        return false;
      node->filler = &http->filling;
      http->filling = node;
      wrenn_op_emit(&http->transfer.op, node);
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
  wrenn_op_touch(&http->transfer.op);
  if (http->stream) {
    if (http->transfer.op.paused) {
      http->recv_waiting = true;
      wrenn_watch_hold(&http->transfer, true);
      return CURL_WRITEFUNC_PAUSE;
    }
    return append_chunk(http, data, len) ? len : no_memory(http);
  }
  if (len > http->max_body - http->body.len)
    return too_large(http);
  wrenn_buf_append(&http->body, data, len);
  return http->body.oom ? no_memory(http) : len;
}

/* ---- request body -------------------------------------------------------- */

static size_t on_read(char *dst, size_t size, size_t count, void *arg) {
  http_op *http = arg;
  wrenn_op_asking(&http->transfer.op);
  size_t len;
  if (!wrenn_outgoing_take(&http->out, dst, size * count, &len)) {
    int number = http->out.error;
    http->transfer.op.number = number;
    stop_with(http, WRENN_E_FILE,
              number ? strerror(number) : "the file has become shorter");
    return CURL_READFUNC_ABORT;
  }
  if (len == 0) {
    http->send_waiting = !http->last;
    wrenn_op_starve(&http->transfer.op, http->send_waiting);
    return http->last ? 0 : CURL_READFUNC_PAUSE;
  }
  if (http->want_room && wrenn_outgoing_held(&http->out) < UPLOAD_WINDOW / 2) {
    http->want_room = false;
    wrenn_node *node =
        wrenn_node_new(http->transfer.op.id, WRENN_EV_WRITABLE, 0);
    if (!node) {
      http->transfer.error = WRENN_E_MEMORY;
      return CURL_READFUNC_ABORT;
    }
    wrenn_op_emit(&http->transfer.op, node);
  }
  return len;
}

/* ---- end ----------------------------------------------------------------- */

/* The result of a transfer whose connection was made. */
static wrenn_status status_of(const http_op *http, CURLcode code) {
  switch (code) {
  case CURLE_PARTIAL_FILE:
    return WRENN_E_BROKEN;
  case CURLE_RECV_ERROR:
    /* libcurl has no error code for bad chunked encoding; the text of a socket
     * error never contains this word. */
    if (strstr(http->transfer.message, "chunk"))
      return WRENN_E_PROTOCOL;
    return http->head.bytes ? WRENN_E_BROKEN : WRENN_E_CONNECT;
  case CURLE_GOT_NOTHING:
  case CURLE_SEND_ERROR:
  case CURLE_SEND_FAIL_REWIND:
    return http->head.bytes ? WRENN_E_BROKEN : WRENN_E_CONNECT;
  default:
    return WRENN_E_PROTOCOL;
  }
}

/* libcurl reports a header line over its limit as out of memory. */
static bool line_too_long(const http_op *http, CURLcode code) {
#if LIBCURL_VERSION_NUM >= 0x080600
  if (code == CURLE_TOO_LARGE)
    return true;
#endif
  return code == CURLE_OUT_OF_MEMORY && http->transfer.op.connected &&
         !http->head.done;
}

/* A server may refuse an upload and reset the connection at once. libcurl does
 * not read once it has failed to send, but what the system has received by then
 * outlives the reset. Returns whether that is a whole refusal, which is then
 * the answer. (Behind TLS nothing can be read any more.) */
static bool take_refusal(http_op *http) {
  const wrenn_buf *unread = &http->transfer.unread;
  const char *at = unread->data;
  size_t len = unread->len;
  wrenn_answer answer = {0};
  bool whole = !http->head.bytes && !unread->oom &&
               wrenn_answer_read(&answer, &at, &len) == WRENN_ANSWER_WHOLE &&
               answer.status >= 400 && answer.body.len <= http->max_body;
  if (whole) {
    http->head.status = answer.status;
    http->head.lines = answer.head;
    http->body = answer.body;
    answer.head = answer.body = (wrenn_buf){0};
  }
  wrenn_answer_free(&answer);
  return whole;
}

static void finish(wrenn_transfer *transfer, CURLcode code) {
  http_op *http = (http_op *)transfer;
  if (http->stale && code == CURLE_ABORTED_BY_CALLBACK) {
    http->stale = false;
    http->renewed = true;
    wrenn_transfer_renew(transfer);
    return;
  }
  if (!transfer->error && line_too_long(http, code))
    stop_with(http, WRENN_E_TOO_LARGE,
              "a header line of the answer is over its limit");
  if (!transfer->error && code == CURLE_OK && !http->head.done)
    stop_with(http, WRENN_E_BROKEN,
              "the connection ended inside the head of the answer");
  if (!transfer->error && code == CURLE_SEND_FAIL_REWIND)
    stop_with(http, WRENN_E_CONNECT, NO_ANSWER);
  if (http->why) {
    wrenn_op_fail(&transfer->op, transfer->error, "%s", http->why);
    return;
  }
  bool refused = code == CURLE_SEND_ERROR && take_refusal(http);
  if (!refused && (transfer->error || code != CURLE_OK)) {
    wrenn_transfer_fail(transfer, code, status_of(http, code));
    return;
  }
  wrenn_node *node = answer_node(http, WRENN_EV_DONE);
  if (node)
    wrenn_op_finish(&transfer->op, node);
  else
    wrenn_op_fail(&transfer->op, WRENN_E_MEMORY, "%s",
                  wrenn_strerror(WRENN_E_MEMORY));
}

/* ---- life ---------------------------------------------------------------- */

static long sent_by_libcurl(const http_op *http) {
  long size = 0;
  curl_easy_getinfo(http->transfer.easy, CURLINFO_REQUEST_SIZE, &size);
  return size;
}

static bool has_left(const wrenn_op *op) {
  const http_op *http = (const http_op *)op;
  return http->left || (op->connected && sent_by_libcurl(http) > http->before);
}

/* The connection is ready (new or reused) and the request is about to be sent.
 * This may be the second time: a kept connection has broken before the first
 * byte of an answer. As the server may have executed the request, only some
 * requests are repeated. */
static int on_connected(void *arg, char *remote_ip, char *local_ip,
                        int remote_port, int local_port) {
  http_op *http = arg;
  (void)local_ip;
  http->transfer.reached = true;
  if (!http->renewed &&
      !wrenn_idle_take(&http->transfer, remote_ip, remote_port, local_port)) {
    http->stale = true;
    return CURL_PREREQFUNC_ABORT;
  }
  http->left = has_left(&http->transfer.op);
  if (http->left && !http->repeatable) {
    stop_with(http, WRENN_E_CONNECT, NO_ANSWER);
    return CURL_PREREQFUNC_ABORT;
  }
  wrenn_op_connected(&http->transfer.op);
  http->before = sent_by_libcurl(http);
  return CURL_PREREQFUNC_OK;
}

static void stop_http(wrenn_op *op) {
  http_op *http = (http_op *)op;
  if (http->filling)
    http->filling->filler = NULL;
  http->filling = NULL;
  wrenn_transfer_end(&http->transfer);
  wrenn_op_unref(op);
}

static void free_http(wrenn_op *op) {
  http_op *http = (http_op *)op;
  wrenn_transfer_end(&http->transfer);
  wrenn_request_free(http->request);
  wrenn_head_free(&http->head);
  wrenn_buf_free(&http->body);
  wrenn_buf_free(&http->transfer.unread);
  wrenn_outgoing_free(&http->out);
  free(http);
}

/* ---- start --------------------------------------------------------------- */

static void kick_http(wrenn_op *op) {
  http_op *http = (http_op *)op;
  bool go_on = false;
  if (http->recv_waiting && !op->paused) {
    http->recv_waiting = false;
    wrenn_watch_hold(&http->transfer, false);
    go_on = true;
  }
  if (http->send_waiting &&
      (!wrenn_outgoing_is_empty(&http->out) || http->last)) {
    http->send_waiting = false;
    wrenn_op_starve(op, false);
    go_on = true;
  }
  /* A direction that still waits says so again when libcurl asks. */
  if (go_on)
    curl_easy_pause(http->transfer.easy, CURLPAUSE_CONT);
}

/* The body comes from a read function that cannot rewind, so that libcurl never
 * repeats a request by itself after a byte of its body has been sent. */
static void set_body(http_op *http, const char *method, bool has_body,
                     curl_off_t size) {
  CURL *easy = http->transfer.easy;
  http->transfer.special =
      http->transfer.special || strcmp(method, "GET") != 0 || has_body;
  if (has_body) {
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(easy, CURLOPT_READDATA, http);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, size);
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

static void set_callbacks(http_op *http, bool has_body) {
  CURL *easy = http->transfer.easy;
  wrenn_request *request = http->request;
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER,
                   has_body ? &request->bodied : request->headers);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, http);
}

/* Those of the request, where the caller does not give others. */
static wrenn_deadlines limits_of(const wrenn_request *request,
                                 const wrenn_deadlines *given) {
  wrenn_deadlines limits = request->options.deadlines;
  if (given->connect_ms)
    limits.connect_ms = given->connect_ms;
  if (given->head_ms)
    limits.head_ms = given->head_ms;
  if (given->answer_ms)
    limits.answer_ms = given->answer_ms;
  if (given->idle_ms)
    limits.idle_ms = given->idle_ms;
  if (given->total_ms)
    limits.total_ms = given->total_ms;
  return limits;
}

static http_op *new_http(wrenn_request *request,
                         const wrenn_request_options *options, bool has_body) {
  http_op *http = calloc(1, sizeof(*http));
  if (!http)
    return NULL;
  const char *method = request->options.method;
  http->request = wrenn_request_ref(request);
  http->transfer.done = finish;
  http->transfer.keep_unread = has_body;
  http->transfer.op.user = options->user;
  http->stream = request->options.stream;
  http->upload = options->upload;
  http->last = !options->upload;
  http->repeatable = !has_body && request->idempotent;
  http->head.no_body = strcmp(method, "HEAD") == 0;
  http->head.encoded = request->encoded;
  http->max_body = request->options.max_body;
  wrenn_outgoing_put(&http->out, options->body, options->body_len);
  return http;
}

/* Starts a request to a URL that has been checked. */
static wrenn_status start(wrenn_loop *loop, wrenn_request *request,
                          const wrenn_request_options *options, const char *url,
                          wrenn_id *id) {
  static const wrenn_op_class class = {kick_http, stop_http, free_http,
                                       has_left};
  wrenn_deadlines limits = limits_of(request, &options->deadlines);
  bool has_body = options->upload || options->body_len > 0;
  wrenn_status status = WRENN_E_MEMORY;
  http_op *http = new_http(request, options, has_body);
  if (!http || http->out.queued.oom)
    goto out;
  status = wrenn_transfer_prepare(loop, &http->transfer, url,
                                  &request->options.net, &limits);
  if (status)
    goto out;
  set_callbacks(http, has_body);
  set_body(http, request->options.method, has_body,
           options->upload ? (curl_off_t)options->upload_size
                           : (curl_off_t)options->body_len);
  status = wrenn_op_start(loop, &http->transfer.op, &class, &limits);
  if (status)
    goto out;
  *id = http->transfer.op.id;
  if (options->upload)
    wrenn_transfer_go(&http->transfer);
  else
    wrenn_transfer_send(&http->transfer);
  http = NULL;

out:
  if (http)
    free_http(&http->transfer.op);
  return status;
}

wrenn_status wrenn_request_start(wrenn_loop *loop, wrenn_request *request,
                                 const wrenn_request_options *given,
                                 wrenn_id *id) {
  wrenn_request_options options;
  wrenn_buf url = {0};
  if (!wrenn_options_copy(&options, sizeof(options), given, given->size))
    return WRENN_E_ARGUMENT;
  wrenn_status status = wrenn_loop_check(loop);
  if (status || !options.path)
    return status ? status
                  : start(loop, request, &options, request->options.url, id);
  wrenn_buf_puts(&url, request->options.url);
  wrenn_buf_append(&url, options.path, strlen(options.path) + 1);
  if (url.oom)
    status = WRENN_E_MEMORY;
  else if (!wrenn_url_ok(url.data, "http"))
    status = WRENN_E_ARGUMENT;
  else
    status = start(loop, request, &options, url.data, id);
  wrenn_buf_free(&url);
  return status;
}

wrenn_status wrenn_http_start(wrenn_loop *loop, const wrenn_http_options *given,
                              wrenn_id *id) {
  wrenn_http_options options;
  wrenn_request *request;
  if (!wrenn_options_copy(&options, sizeof(options), given, given->size))
    return WRENN_E_ARGUMENT;
  const wrenn_request_options own = {.size = sizeof(own),
                                     .user = options.user,
                                     .body = options.body,
                                     .body_len = options.body_len,
                                     .upload = options.upload,
                                     .upload_size = options.upload_size};
  wrenn_status status = wrenn_loop_check(loop);
  if (!status)
    status = wrenn_request_new(given, &request);
  if (status)
    return status;
  status = wrenn_request_start(loop, request, &own, id);
  wrenn_request_free(request);
  return status;
}

/* Finds an upload whose body has not ended. */
static wrenn_status find_upload(wrenn_loop *loop, wrenn_id id, http_op **http) {
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  wrenn_op *op = wrenn_op_find(loop, id);
  if (!op || op->class->stop != stop_http)
    return WRENN_E_CLOSED;
  *http = (http_op *)op;
  return (*http)->upload && !(*http)->last ? WRENN_OK : WRENN_E_ARGUMENT;
}

wrenn_status wrenn_http_send(wrenn_loop *loop, wrenn_id id, const void *data,
                             size_t len, bool last, bool *room) {
  http_op *http;
  wrenn_status status = find_upload(loop, id, &http);
  if (status)
    return status;
  if (!wrenn_outgoing_put(&http->out, data, len)) {
    wrenn_op_fail(&http->transfer.op, WRENN_E_MEMORY, "%s",
                  wrenn_strerror(WRENN_E_MEMORY));
    return WRENN_E_MEMORY;
  }
  http->last = last;
  http->want_room = !last && wrenn_outgoing_held(&http->out) >= UPLOAD_WINDOW;
  if (room)
    *room = !http->want_room;
  wrenn_op_kick(&http->transfer.op);
  return WRENN_OK;
}

wrenn_status wrenn_http_send_file(wrenn_loop *loop, wrenn_id id, int fd,
                                  uint64_t offset, uint64_t len) {
  http_op *http;
  wrenn_status status = find_upload(loop, id, &http);
  if (!status)
    status = wrenn_outgoing_put_file(&http->out, fd, offset, len);
  if (!status)
    wrenn_op_kick(&http->transfer.op);
  return status;
}
