/* From a URL to an open WebSocket, or to an error. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base64.h"
#include "carry.h"
#include "url.h"
#include "ws_op.h"

/* How long to wait for the rest of a refusal's body. */
#define REFUSAL_MS 2000

/* ---- the request --------------------------------------------------------- */

#define KEY_SIZE WRENN_BASE64_ENCODED(16)

/* A key, and the value that the server has to derive from it. */
static bool make_key(wrenn_ws_op *ws, char key[KEY_SIZE]) {
  unsigned char random[16], digest[EVP_MAX_MD_SIZE];
  char text[KEY_SIZE + sizeof(WRENN_WS_GUID)];
  unsigned len = 0;
  if (getentropy(random, sizeof(random)))
    return false;
  wrenn_base64_encode(random, sizeof(random), key);
  memcpy(text, key, KEY_SIZE);
  memcpy(text + KEY_SIZE, WRENN_WS_GUID, sizeof(WRENN_WS_GUID));
  if (!EVP_Digest(text, sizeof(text) - 1, digest, &len, EVP_sha1(), NULL))
    return false;
  wrenn_base64_encode(digest, len, ws->accept);
  ws->accept[WRENN_BASE64_ENCODED(len)] = '\0';
  return true;
}

static const char *value_in(const char *line, const char *name) {
  size_t len = strlen(name);
  return !strncasecmp(line, name, len) && line[len] == ':' ? line + len + 1
                                                           : NULL;
}

static wrenn_status put_headers(wrenn_ws_op *ws, wrenn_buf *out,
                                const wrenn_ws_options *options,
                                const char *authority) {
  bool host = false;
  for (size_t i = 0; i < options->header_count; i++) {
    const char *line = options->headers[i];
    if (!wrenn_header_line_ok(line))
      return WRENN_E_ARGUMENT;
    wrenn_buf_printf(out, "%s\r\n", line);
    host = host || value_in(line, "Host");
    const char *protocols = value_in(line, "Sec-WebSocket-Protocol");
    if (protocols && !ws->protocols && !(ws->protocols = strdup(protocols)))
      return WRENN_E_MEMORY;
  }
  if (!host)
    wrenn_buf_printf(out, "Host: %s\r\n", authority);
  return WRENN_OK;
}

static wrenn_status put_request(wrenn_ws_op *ws, wrenn_buf *out,
                                const wrenn_ws_options *options,
                                const wrenn_url *url) {
  char key[KEY_SIZE];
  if (!make_key(ws, key))
    return WRENN_E_SYSTEM;
  wrenn_buf_printf(out,
                   "GET %s HTTP/1.1\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: %.*s\r\n",
                   url->path, (int)KEY_SIZE, key);
  wrenn_status status = put_headers(ws, out, options, url->authority);
  wrenn_buf_puts(out, "\r\n");
  return status ? status : out->oom ? WRENN_E_MEMORY : WRENN_OK;
}

/* ---- connecting ---------------------------------------------------------- */

static void on_ready(void *arg, int events) {
  (void)events; /* failing reads and writes report errors */
  wrenn_ws_turn(arg);
}

static void on_connected(wrenn_transfer *transfer, CURLcode code) {
  wrenn_ws_op *ws = (wrenn_ws_op *)transfer;
  if (!wrenn_carry_begin(transfer, code, &ws->fd, on_ready, ws))
    return;
  ws->stage = WRENN_WS_UPGRADING;
  wrenn_ws_turn(ws);
}

/* Not all versions of libcurl know ws://, and some choose other proxies for it:
 * so libcurl is given the equivalent http:// URL. */
static bool put_http_url(wrenn_buf *out, const char *url) {
  wrenn_buf_puts(out, "http");
  wrenn_buf_puts(out, url + 2);
  wrenn_buf_append(out, "", 1);
  return !out->oom;
}

wrenn_status wrenn_ws_prepare(wrenn_loop *loop, wrenn_ws_op *ws,
                              const wrenn_ws_options *options) {
  wrenn_status status = WRENN_E_ARGUMENT;
  wrenn_transfer *transfer = &ws->transfer;
  wrenn_buf http = {0}, request = {0};
  wrenn_url url = {0};
  if (!options->url || !wrenn_url_ok(options->url, "ws"))
    goto out;
  status = WRENN_E_MEMORY;
  if (!put_http_url(&http, options->url))
    goto out;
  status = wrenn_url_parse(&url, http.data);
  if (status)
    goto out;
  status = put_request(ws, &request, options, &url);
  if (status)
    goto out;
  status = WRENN_E_MEMORY;
  ws->request = malloc(sizeof(*ws->request) + request.len);
  if (!ws->request)
    goto out;
  *ws->request = (wrenn_ws_message){.size = request.len};
  memcpy(ws->request->bytes, request.data, request.len);
  transfer->done = on_connected;
  status = wrenn_carry_prepare(loop, transfer, http.data, &options->net,
                               &options->deadlines);

out:
  wrenn_buf_free(&http);
  wrenn_buf_free(&request);
  wrenn_url_free(&url);
  return status;
}

/* ---- the answer ---------------------------------------------------------- */

static void finish_refused(wrenn_ws_op *ws) {
  const wrenn_answer *a = &ws->answer;
  wrenn_node *node = wrenn_op_node(&ws->transfer.op, WRENN_EV_FAILED,
                                   a->head.len + a->body.len);
  if (!node)
    return;
  if (a->head.len)
    memcpy(node->bytes, a->head.data, a->head.len);
  if (a->body.len)
    memcpy(node->bytes + a->head.len, a->body.data, a->body.len);
  node->event.error = WRENN_E_REFUSED;
  node->event.status = a->status;
  node->event.headers_len = a->head.len;
  node->event.data = node->bytes + a->head.len;
  node->event.data_len = a->body.len;
  wrenn_op_finish(&ws->transfer.op, node);
}

static void finish_wrong(wrenn_ws_op *ws, const char *why) {
  wrenn_op_fail(&ws->transfer.op, WRENN_E_PROTOCOL, "the upgrade failed: %s",
                why);
}

static void on_refusal_overdue(uv_timer_t *timer) {
  finish_refused(timer->data);
}

/* The refusal itself is certain. Its body, which says why, is worth waiting for
 * a while. */
static void await_refusal(wrenn_ws_op *ws) {
  wrenn_op *op = &ws->transfer.op;
  uint64_t now = uv_now(&op->loop->uv), wait = REFUSAL_MS;
  if (op->limits.connect_ms) {
    uint64_t end = op->started + op->limits.connect_ms;
    uint64_t left = end > now ? end - now : 0;
    wait = left < wait ? left : wait;
  }
  ws->stage = WRENN_WS_REFUSAL;
  wrenn_op_connected(op);
  wrenn_op_answered(op);
  if (!ws->closing)
    uv_timer_start(&ws->timer, on_refusal_overdue, wait, 0);
}

void wrenn_ws_answered(wrenn_ws_op *ws, const char *data, size_t len) {
  wrenn_op *op = &ws->transfer.op;
  const char *why;
  switch (wrenn_answer_read(&ws->answer, &data, &len)) {
  case WRENN_ANSWER_WAITING:
    if (ws->stage == WRENN_WS_UPGRADING &&
        wrenn_answer_end(&ws->answer) == WRENN_ANSWER_WHOLE)
      await_refusal(ws);
    return;
  case WRENN_ANSWER_SWITCHED:
    why = wrenn_ws_upgrade_fault(&ws->answer, ws->accept, ws->protocols);
    if (why)
      finish_wrong(ws, why);
    else
      wrenn_ws_opened(ws, data, len);
    return;
  case WRENN_ANSWER_WHOLE:
    finish_refused(ws);
    return;
  case WRENN_ANSWER_WRONG:
    finish_wrong(ws, ws->answer.why);
    return;
  case WRENN_ANSWER_HEAD_TOO_LARGE:
    wrenn_op_fail(op, WRENN_E_TOO_LARGE,
                  "the headers of the upgrade's answer are over their limit");
    return;
  case WRENN_ANSWER_OUT_OF_MEMORY:
    wrenn_op_fail(op, WRENN_E_MEMORY, "%s", wrenn_strerror(WRENN_E_MEMORY));
    return;
  }
}

void wrenn_ws_lost_early(wrenn_ws_op *ws) {
  wrenn_op *op = &ws->transfer.op;
  if (wrenn_answer_end(&ws->answer) == WRENN_ANSWER_WHOLE)
    finish_refused(ws);
  else if (ws->answer.head_size > 0)
    wrenn_op_fail(op, WRENN_E_BROKEN,
                  "the connection broke off inside the upgrade's answer");
  else
    wrenn_op_fail(op, WRENN_E_CONNECT,
                  "the connection was lost before the upgrade was answered%s%s",
                  ws->transfer.message[0] ? ": " : "", ws->transfer.message);
}
