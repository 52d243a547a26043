/* WebSocket on libwebsockets, in the loop's own libuv loop. */
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "ws_op.h"

#define MAX_MESSAGE ((size_t)64 * 1024 * 1024)
#define PING_MS 30000
#define CLOSE_MS 1000
/* libwebsockets cuts longer request lines off without a word. */
#define MAX_TARGET 2000

/* ---- life ---------------------------------------------------------------- */

static void free_ws(wrenn_op *op) {
  wrenn_ws_op *ws = (wrenn_ws_op *)op;
  if (ws->found)
    freeaddrinfo(ws->found);
  wrenn_url_free(&ws->url);
  wrenn_url_free(&ws->proxy);
  free(ws->ca_file);
  for (char **line = ws->headers; line && *line; line++)
    free(*line);
  free(ws->headers);
  while (ws->out) {
    wrenn_ws_message *next = ws->out->next;
    free(ws->out);
    ws->out = next;
  }
  wrenn_buf_free(&ws->partial);
  free(ws);
}

static void on_pinger_closed(uv_handle_t *handle) {
  wrenn_ws_op *ws = handle->data;
  wrenn_op_unref(&ws->op);
}

/* Gives the transport's reference back once libwebsockets has let go. */
static void release_if_gone(wrenn_ws_op *ws) {
  if (!ws->op.ended || ws->attempts || ws->released)
    return;
  ws->released = true;
  uv_close((uv_handle_t *)&ws->pinger, on_pinger_closed);
}

static void drop_connection(wrenn_ws_op *ws) {
  if (!ws->wsi || ws->inside) /* the callback's return value does it */
    return;
  lws_set_timeout(ws->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static void stop_ws(wrenn_op *op) {
  wrenn_ws_op *ws = (wrenn_ws_op *)op;
  if (ws->lookup)
    wrenn_lookup_cancel(op->loop, ws->lookup);
  ws->lookup = NULL;
  drop_connection(ws);
  release_if_gone(ws);
}

/* ---- silence ------------------------------------------------------------- */

static void hear(wrenn_ws_op *ws) {
  ws->heard = uv_now(&ws->op.loop->uv);
  ws->asked = 0;
  wrenn_op_touch(&ws->op);
}

/* While nothing is read the peer's pings are not answered either: it hears of
 * us all the same, and so does every proxy on the way. */
static void on_ping_due(uv_timer_t *timer) {
  wrenn_ws_op *ws = timer->data;
  uint64_t now = uv_now(&ws->op.loop->uv);
  if (ws->held) {
    ws->held = ws->op.paused;
    ws->heard = now; /* it is we who do not listen */
    ws->want_pong = true;
    lws_callback_on_writable(ws->wsi);
  } else if (now - ws->heard >= (uint64_t)ws->ping_ms * 3 && ws->asked > 1) {
    wrenn_op_fail(&ws->op, WRENN_E_TIMEOUT, "no answer to a ping for %g s",
                  (double)(now - ws->heard) / 1000.0);
  } else if (now - ws->heard >= ws->ping_ms) {
    ws->want_ping = true;
    ws->asked++;
    lws_callback_on_writable(ws->wsi);
  }
}

/* ---- in ------------------------------------------------------------------ */

static void emit_frame(wrenn_ws_op *ws, bool binary, const void *data,
                       size_t len) {
  const char *why = NULL;
  wrenn_node *node = wrenn_op_node(&ws->op, WRENN_EV_FRAME, len);
  if (!node)
    return;
  if (len)
    memcpy(node->bytes, data, len);
  node->event.data_len = len;
  node->event.frame.binary = binary;
  if (ws->codec != WRENN_CODEC_RAW &&
      !wrenn_frame_decode(ws->codec, binary, node->bytes, len,
                          &node->event.frame, &why)) {
    wrenn_node_free(node);
    wrenn_op_fail(&ws->op, WRENN_E_PROTOCOL, "malformed frame: %s", why);
    return;
  }
  wrenn_op_emit(&ws->op, node);
}

static void on_receive(wrenn_ws_op *ws, struct lws *wsi, const void *data,
                       size_t len) {
  bool first = lws_is_first_fragment(wsi), last = lws_is_final_fragment(wsi);
  bool binary = lws_frame_is_binary(wsi);
  hear(ws);
  if (ws->closing)
    return;
  if (first)
    wrenn_buf_clear(&ws->partial);
  if (len > ws->max_message - ws->partial.len) {
    wrenn_op_fail(&ws->op, WRENN_E_TOO_LARGE, "a message is over %zu bytes",
                  ws->max_message);
    return;
  }
  if (first && last) {
    emit_frame(ws, binary, data, len);
    return;
  }
  wrenn_buf_append(&ws->partial, data, len);
  if (ws->partial.oom) {
    wrenn_op_fail(&ws->op, WRENN_E_MEMORY, "%s",
                  wrenn_strerror(WRENN_E_MEMORY));
  } else if (last) {
    emit_frame(ws, binary, ws->partial.data, ws->partial.len);
    wrenn_buf_clear(&ws->partial);
  }
}

static void finish_closed(wrenn_ws_op *ws, int code) {
  size_t len = ws->close_reason_len;
  wrenn_node *node = wrenn_op_node(&ws->op, WRENN_EV_CLOSED, len);
  if (!node)
    return;
  memcpy(node->bytes, ws->close_reason, len);
  node->event.data_len = len;
  node->event.code = code;
  wrenn_op_finish(&ws->op, node);
}

static void on_peer_close(wrenn_ws_op *ws, const unsigned char *data,
                          size_t len) {
  if (ws->closing) { /* the answer to ours */
    finish_closed(ws, LWS_CLOSE_STATUS_NORMAL);
    return;
  }
  ws->close_code = 1005; /* a close frame without a code */
  if (len < 2)
    return;
  ws->close_code = data[0] << 8 | data[1];
  ws->close_reason_len = len - 2;
  if (ws->close_reason_len > sizeof(ws->close_reason))
    ws->close_reason_len = sizeof(ws->close_reason);
  memcpy(ws->close_reason, data + 2, ws->close_reason_len);
}

/* The peer did not take what we sent, or did not answer our close frame. */
static void on_close_overdue(uv_timer_t *timer) {
  finish_closed(timer->data, 1006);
}

/* ---- out ----------------------------------------------------------------- */

static bool write_next(wrenn_ws_op *ws, struct lws *wsi) {
  wrenn_ws_message *message = ws->out;
  int written = lws_write(wsi, message->bytes + LWS_PRE, message->len,
                          message->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
  ws->out = message->next;
  if (!ws->out)
    ws->out_end = &ws->out;
  ws->unsent -= message->len;
  free(message);
  wrenn_op_touch(&ws->op);
  return written >= 0;
}

static bool write_sign(bool *wanted, struct lws *wsi,
                       enum lws_write_protocol kind) {
  unsigned char empty[LWS_PRE] = {0};
  bool due = *wanted;
  *wanted = false;
  return !due || lws_write(wsi, empty + LWS_PRE, 0, kind) >= 0;
}

static int on_writable(wrenn_ws_op *ws, struct lws *wsi) {
  if (ws->close_code) /* nothing may follow the close frame */
    return 0;
  if (!write_sign(&ws->want_ping, wsi, LWS_WRITE_PING) ||
      !write_sign(&ws->want_pong, wsi, LWS_WRITE_PONG))
    return -1;
  while (ws->out && !lws_send_pipe_choked(wsi))
    if (!write_next(ws, wsi))
      return -1;
  if (ws->out || lws_partial_buffered(wsi)) {
    lws_callback_on_writable(wsi);
  } else if (ws->closing) {
    ws->flushed = true;
    wrenn_op_kick(&ws->op);
  }
  return 0;
}

/* ---- libwebsockets ------------------------------------------------------- */

static void on_opened(wrenn_ws_op *ws, struct lws *wsi) {
  ws->opened = true;
  wrenn_op_connected(&ws->op);
  hear(ws);
  uint32_t tick = ws->ping_ms < 2 ? 1 : ws->ping_ms / 2;
  if (!ws->closing)
    uv_timer_start(&ws->pinger, on_ping_due, tick, tick);
  wrenn_node *node = wrenn_op_node(&ws->op, WRENN_EV_OPENED, 0);
  if (node)
    wrenn_op_emit(&ws->op, node);
  if (ws->out || ws->closing)
    lws_callback_on_writable(wsi);
  wrenn_op_kick(&ws->op);
}

static void on_gone(wrenn_ws_op *ws, struct lws *wsi) {
  if (ws->wsi == wsi)
    ws->wsi = NULL;
  ws->attempts--;
  if (!ws->op.ended && ws->tcp_up)
    wrenn_op_fail(&ws->op, WRENN_E_CONNECT, "the connection was lost");
  release_if_gone(ws);
}

static int dispatch(wrenn_ws_op *ws, struct lws *wsi,
                    enum lws_callback_reasons reason, void *in, size_t len) {
  switch (reason) {
  case LWS_CALLBACK_WSI_CREATE:
    ws->tcp_up = true;
    return 0;
  case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
    return wrenn_ws_add_headers(ws, in, len);
  case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
    return wrenn_ws_answered(ws, wsi);
  case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
    wrenn_buf_append(&ws->partial, in, len);
    return 0;
  case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    wrenn_ws_connect_failed(ws, in ? in : "", in ? len : 0);
    return 0;
  case LWS_CALLBACK_CLIENT_ESTABLISHED:
    on_opened(ws, wsi);
    return 0;
  case LWS_CALLBACK_CLIENT_RECEIVE:
    on_receive(ws, wsi, in, len);
    return 0;
  case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
    hear(ws);
    return 0;
  case LWS_CALLBACK_CLIENT_WRITEABLE:
    return on_writable(ws, wsi);
  case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    on_peer_close(ws, in, len);
    return 0;
  case LWS_CALLBACK_CLIENT_CLOSED:
    finish_closed(ws, ws->close_code ? ws->close_code : 1006);
    return 0;
  default:
    return 0;
  }
}

int wrenn_ws_callback(struct lws *wsi, enum lws_callback_reasons reason,
                      void *user, void *in, size_t len) {
  switch (reason) { /* the only ones that concern a connection of ours */
  case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
    return wrenn_ws_verify(lws_get_opaque_user_data(wsi), user, len != 0);
  case LWS_CALLBACK_WSI_CREATE:
  case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
  case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
  case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
  case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
  case LWS_CALLBACK_CLIENT_ESTABLISHED:
  case LWS_CALLBACK_CLIENT_RECEIVE:
  case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
  case LWS_CALLBACK_CLIENT_WRITEABLE:
  case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
  case LWS_CALLBACK_CLIENT_CLOSED:
  case LWS_CALLBACK_WSI_DESTROY:
    break;
  default:
    return 0;
  }
  wrenn_ws_op *ws = lws_get_opaque_user_data(wsi);
  if (!ws)
    return 0;
  if (reason == LWS_CALLBACK_WSI_DESTROY) {
    on_gone(ws, wsi); /* may have freed ws */
    return 0;
  }
  if (ws->op.ended)
    return -1;
  bool outer = ws->inside;
  ws->inside = true;
  int rc = dispatch(ws, wsi, reason, in, len);
  ws->inside = outer;
  return ws->op.ended ? -1 : rc;
}

/* ---- API ----------------------------------------------------------------- */

static wrenn_ws_op *find_ws(const wrenn_loop *loop, wrenn_id id) {
  wrenn_op *op = wrenn_op_find(loop, id);
  return op && op->class->stop == stop_ws ? (wrenn_ws_op *)op : NULL;
}

/* The documented way, -1 out of a callback, closes twice in a libuv loop of
 * 4.1.6, and the second time cuts the connection off before the close frame
 * has left. This closes once. */
static void begin_close(wrenn_ws_op *ws) {
  ws->close_code = LWS_CLOSE_STATUS_NORMAL;
  lws_close_reason(ws->wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
  lws_set_timeout(ws->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static void kick_ws(wrenn_op *op) {
  wrenn_ws_op *ws = (wrenn_ws_op *)op;
  if (!ws->wsi && !ws->tcp_up && ws->found)
    wrenn_ws_connect_next(ws);
  if (!ws->wsi || !ws->opened)
    return;
  if (ws->rx_off != op->paused) {
    ws->rx_off = op->paused;
    ws->held = ws->held || op->paused;
    lws_rx_flow_control(ws->wsi, !op->paused);
  }
  if (ws->flushed && !ws->close_code)
    begin_close(ws);
  else if (ws->out || ws->closing)
    lws_callback_on_writable(ws->wsi);
  lws_cancel_service(ws->engine->context);
}

static bool copy_headers(wrenn_ws_op *ws, const wrenn_ws_options *options,
                         wrenn_status *why) {
  ws->headers = calloc(options->header_count + 1, sizeof(*ws->headers));
  if (!ws->headers)
    return false;
  for (size_t i = 0; i < options->header_count; i++) {
    if (!wrenn_header_line_ok(options->headers[i])) {
      *why = WRENN_E_ARGUMENT;
      return false;
    }
    ws->headers[i] = strdup(options->headers[i]);
    if (!ws->headers[i])
      return false;
  }
  return true;
}

wrenn_status wrenn_ws_open(wrenn_loop *loop, const wrenn_ws_options *options,
                           wrenn_id *id) {
  static const wrenn_op_class class = {
      .kick = kick_ws, .stop = stop_ws, .free = free_ws};
  const wrenn_net *net = &options->net;
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  wrenn_ws_op *ws = calloc(1, sizeof(*ws));
  if (!ws)
    return WRENN_E_MEMORY;
  status = WRENN_E_ARGUMENT;
  if (!options->url || !wrenn_url_parse(&ws->url, options->url) ||
      strlen(ws->url.path) > MAX_TARGET ||
      (net->proxy && *net->proxy && !wrenn_url_parse(&ws->proxy, net->proxy)))
    goto out;
  status = WRENN_E_MEMORY;
  if (!copy_headers(ws, options, &status))
    goto out;
  ws->ca_file = net->ca_file ? strdup(net->ca_file) : NULL;
  if (net->ca_file && !ws->ca_file)
    goto out;
  ws->engine = wrenn_ws_engine_of(loop);
  if (!ws->engine) {
    status = WRENN_E_SYSTEM;
    goto out;
  }
  ws->insecure = net->insecure;
  ws->codec = options->codec;
  ws->max_message = options->max_message ? options->max_message : MAX_MESSAGE;
  ws->ping_ms = options->ping_ms ? options->ping_ms : PING_MS;
  ws->out_end = &ws->out;
  status = wrenn_op_start(loop, &ws->op, &class, &options->deadlines);
  if (status)
    goto out;
  *id = ws->op.id;
  loop->tls = loop->tls || ws->url.secure;
  uv_timer_init(&loop->uv, &ws->pinger);
  ws->pinger.data = ws;
  wrenn_ws_connect(ws);
  ws = NULL;

out:
  if (ws)
    free_ws(&ws->op);
  return status;
}

wrenn_status wrenn_ws_send(wrenn_loop *loop, wrenn_id id, const void *data,
                           size_t len, bool binary) {
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  wrenn_ws_op *ws = find_ws(loop, id);
  if (!ws || ws->closing)
    return WRENN_E_CLOSED;
  if (len > SIZE_MAX - sizeof(wrenn_ws_message) - LWS_PRE)
    return WRENN_E_MEMORY;
  wrenn_ws_message *message = malloc(sizeof(*message) + LWS_PRE + len);
  if (!message)
    return WRENN_E_MEMORY;
  message->next = NULL;
  message->len = len;
  message->binary = binary;
  if (len)
    memcpy(message->bytes + LWS_PRE, data, len);
  *ws->out_end = message;
  ws->out_end = &message->next;
  ws->unsent += len;
  wrenn_op_kick(&ws->op);
  return WRENN_OK;
}

size_t wrenn_ws_unsent(const wrenn_loop *loop, wrenn_id id) {
  const wrenn_ws_op *ws = find_ws(loop, id);
  return ws ? ws->unsent : 0;
}

wrenn_status wrenn_ws_close(wrenn_loop *loop, wrenn_id id) {
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  wrenn_ws_op *ws = find_ws(loop, id);
  if (!ws || ws->closing)
    return WRENN_E_CLOSED;
  ws->closing = true;
  uv_update_time(&loop->uv);
  uv_timer_start(&ws->pinger, on_close_overdue, CLOSE_MS, 0);
  wrenn_op_kick(&ws->op);
  return WRENN_OK;
}
