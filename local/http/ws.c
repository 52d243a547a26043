#include "http/ws.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "base64.h"
#include "http/deflate.h"

#define RSV1 0x40 /* in a frame's first byte: the message is compressed */
/* Shorter messages are not worth compressing. */
#define DEFLATE_MIN 128
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct ws {
  conn *conn;
  ws_hooks hooks;
  wslay_event_context_ptr wslay;
  const char *input; /* received data that wslay has not read */
  size_t input_len;
  wrenn_buf output; /* frames gathered for one write */
  size_t message_max;
  bool dropped;
  deflate_state *deflate; /* NULL: no compression */
};

static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *buf, size_t len,
                       int flags, void *arg) {
  ws *w = arg;
  (void)flags;
  if (w->input_len == 0) {
    wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
    return -1;
  }
  size_t part = len < w->input_len ? len : w->input_len;
  memcpy(buf, w->input, part);
  w->input += part;
  w->input_len -= part;
  return (ssize_t)part;
}

static ssize_t on_send(wslay_event_context_ptr wslay, const uint8_t *data,
                       size_t len, int flags, void *arg) {
  ws *w = arg;
  (void)wslay;
  (void)flags;
  wrenn_buf_append(&w->output, data, len);
  return w->output.oom ? -1 : (ssize_t)len;
}

static void on_message(wslay_event_context_ptr wslay,
                       const struct wslay_event_on_msg_recv_arg *m, void *arg) {
  ws *w = arg;
  const char *data = (const char *)m->msg;
  size_t len = m->msg_length;
  wrenn_buf unpacked = {0};
  if (wslay_is_ctrl_frame(m->opcode) || w->dropped)
    return;
  if (wslay_get_rsv1(m->rsv)) {
    if (!deflate_unpack(w->deflate, data, len, w->message_max, &unpacked)) {
      wslay_event_queue_close(wslay, WSLAY_CODE_PROTOCOL_ERROR, NULL, 0);
      wslay_event_shutdown_read(wslay);
      wrenn_buf_free(&unpacked);
      return;
    }
    data = unpacked.data;
    len = unpacked.len;
  }
  w->hooks.message(w->hooks.arg, data ? data : "", len,
                   m->opcode == WSLAY_BINARY_FRAME);
  wrenn_buf_free(&unpacked);
}

/* Accepts the client's offer of compression, if there is one. */
static void agree_on_deflate(ws *w) {
  char offer[256];
  conn_header(w->conn, "sec-websocket-extensions", offer, sizeof(offer));
  if (deflate_offered(offer))
    w->deflate = deflate_new();
  if (w->deflate)
    wslay_event_config_set_allowed_rsv_bits(w->wslay, WSLAY_RSV1_BIT);
}

ws *ws_accept(conn *c, const ws_hooks *hooks) {
  static const struct wslay_event_callbacks callbacks = {
      .recv_callback = on_recv,
      .send_callback = on_send,
      .on_msg_recv_callback = on_message,
  };
  char key[64];
  unsigned char digest[SHA_DIGEST_LENGTH];
  char accept[WRENN_BASE64_ENCODED(SHA_DIGEST_LENGTH) + 1] = "";
  wrenn_buf text = {0};
  ws *w = calloc(1, sizeof(*w));
  if (!w || wslay_event_context_server_init(&w->wslay, &callbacks, w)) {
    free(w);
    conn_abort(c);
    return NULL;
  }
  w->message_max =
      hooks->message_max ? hooks->message_max : c->server->message_max;
  wslay_event_config_set_max_recv_msg_length(w->wslay, w->message_max);
  w->conn = c;
  w->hooks = *hooks;
  c->ws = w;
  c->stage = CONN_WEBSOCKET;
  if (hooks->deflates)
    agree_on_deflate(w);
  conn_header(c, "sec-websocket-key", key, sizeof(key));
  wrenn_buf_puts(&text, key);
  wrenn_buf_puts(&text, GUID);
  SHA1((unsigned char *)text.data, text.len, digest);
  wrenn_base64_encode(digest, sizeof(digest), accept);
  wrenn_buf_clear(&text);
  wrenn_buf_printf(&text,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
                   accept);
  if (c->server->tells_ids)
    wrenn_buf_printf(&text, "X-Request-ID: %s\r\n", conn_request_id(c));
  if (w->deflate)
    wrenn_buf_puts(&text, "Sec-WebSocket-Extensions: " DEFLATE_ACCEPTED "\r\n");
  wrenn_buf_puts(&text, "\r\n");
  conn_send(c, text.data, text.len);
  wrenn_buf_free(&text);
  return w;
}

/* Makes wslay write its frames, and sends them. */
static void flush(ws *w) {
  if (wslay_event_send(w->wslay) || w->output.oom)
    conn_abort(w->conn);
  else if (w->output.len > 0)
    conn_send(w->conn, w->output.data, w->output.len);
  wrenn_buf_clear(&w->output);
}

void ws_receive(ws *w, const char *data, size_t len) {
  w->input = data;
  w->input_len = len;
  /* Pings are answered and close frames acknowledged by wslay itself. */
  int rc = wslay_event_recv(w->wslay);
  flush(w);
  if (rc || wslay_event_get_close_received(w->wslay) ||
      !wslay_event_get_read_enabled(w->wslay))
    conn_finish(w->conn);
}

/* Writes the head of a frame; the data is sent without wslay's copies. wslay
 * never has a frame half-sent. */
static size_t put_frame_head(char head[10], int opcode, size_t len) {
  size_t bytes = len < 126 ? 0 : len <= 0xffff ? 2 : 8;
  head[0] = (char)(0x80 | opcode); /* the last frame of its message */
  head[1] = (char)(bytes == 0 ? len : bytes == 2 ? 126 : 127);
  for (size_t i = 0; i < bytes; i++)
    head[2 + i] = (char)((uint64_t)len >> (8 * (bytes - 1 - i)) & 0xff);
  return 2 + bytes;
}

static void send_frame(ws *w, int opcode, const char *data, size_t len) {
  char head[10];
  wrenn_buf packed = {0};
  if (w->dropped || wslay_event_get_close_sent(w->wslay))
    return;
  if (w->deflate && len >= DEFLATE_MIN &&
      deflate_pack(w->deflate, data, len, &packed)) {
    opcode |= RSV1;
    data = packed.data;
    len = packed.len;
  }
  const uv_buf_t parts[2] = {
      uv_buf_init(head, (unsigned)put_frame_head(head, opcode, len)),
      uv_buf_init((char *)data, (unsigned)len)};
  conn_send_parts(w->conn, parts, 2);
  wrenn_buf_free(&packed);
}

void ws_send(ws *w, const char *data, size_t len) {
  send_frame(w, WSLAY_TEXT_FRAME, data, len);
}

void ws_send_binary(ws *w, const char *data, size_t len) {
  send_frame(w, WSLAY_BINARY_FRAME, data, len);
}

size_t ws_unsent(const ws *w) { return conn_unsent(w->conn); }

void ws_drop(ws *w) {
  if (w->dropped)
    return;
  w->dropped = true;
  conn_finish(w->conn);
}

void ws_drained(ws *w) {
  if (!w->dropped && w->hooks.drained)
    w->hooks.drained(w->hooks.arg);
}

void ws_lost(ws *w) {
  w->hooks.lost(w->hooks.arg);
  wslay_event_context_free(w->wslay);
  wrenn_buf_free(&w->output);
  deflate_free(w->deflate);
  free(w);
}
