/* WebSockets over libcurl's connections: messages, keep-alive, closing. */
#include <stdlib.h>
#include <string.h>

#include "carry.h"
#include "frame.h"
#include "ws_op.h"

#define MAX_MESSAGE ((size_t)64 * 1024 * 1024)
#define PING_MS 30000
#define CLOSE_MS 1000

/* ---- life ---------------------------------------------------------------- */

static void free_ws(wrenn_op *op) {
  wrenn_ws_op *ws = (wrenn_ws_op *)op;
  wrenn_transfer_end(&ws->transfer);
  wrenn_ws_drop_out(ws);
  wrenn_answer_free(&ws->answer);
  wrenn_ws_reader_free(&ws->reader);
  wrenn_buf_free(&ws->early);
  free(ws->protocols);
  free(ws);
}

static void on_timer_closed(uv_handle_t *handle) {
  wrenn_ws_op *ws = handle->data;
  wrenn_op_unref(&ws->transfer.op);
}

static void stop_ws(wrenn_op *op) {
  wrenn_ws_op *ws = (wrenn_ws_op *)op;
  wrenn_transfer_end(&ws->transfer);
  uv_close((uv_handle_t *)&ws->timer, on_timer_closed);
}

/* ---- silence ------------------------------------------------------------- */

static void hear(wrenn_ws_op *ws) {
  ws->heard = uv_now(&ws->transfer.op.loop->uv);
  ws->listened = true;
  ws->asked = 0;
  wrenn_op_touch(&ws->transfer.op);
}

/* While reading is paused, the peer's pings are not answered. So pongs are sent
 * unasked, which the peer and every proxy in between see. */
static void on_ping_due(uv_timer_t *timer) {
  wrenn_ws_op *ws = timer->data;
  wrenn_op *op = &ws->transfer.op;
  uint64_t now = uv_now(&op->loop->uv);
  if (ws->held) {
    ws->held = op->paused;
    ws->heard = now; /* it is this end that does not read */
    ws->want_pong = ws->want_pong || !ws->listened;
  } else if (now - ws->heard >= (uint64_t)ws->ping_ms * 3 && ws->asked > 1) {
    wrenn_op_fail(op, WRENN_E_TIMEOUT, "no answer to pings for %u ms",
                  (unsigned)(now - ws->heard));
    return;
  } else if (now - ws->heard >= ws->ping_ms) {
    ws->want_ping = true;
    ws->asked++;
  }
  ws->listened = false;
  wrenn_ws_turn(ws);
}

/* ---- in ------------------------------------------------------------------ */

static void finish_closed(wrenn_ws_op *ws, int code, const char *reason,
                          size_t len) {
  wrenn_node *node = wrenn_op_node(&ws->transfer.op, WRENN_EV_CLOSED, len);
  if (!node)
    return;
  if (len)
    memcpy(node->bytes, reason, len);
  node->event.data_len = len;
  node->event.code = code;
  wrenn_op_finish(&ws->transfer.op, node);
}

/* The peer did not accept what was sent, or did not answer our close frame. */
static void on_close_overdue(uv_timer_t *timer) {
  finish_closed(timer->data, 1006, NULL, 0);
}

static void take_close(wrenn_ws_op *ws, const wrenn_ws_item *item) {
  wrenn_ws_emit_rest(ws);
  if (ws->closing) { /* the answer to ours */
    finish_closed(ws, 1000, NULL, 0);
    return;
  }
  wrenn_ws_say_close(ws, item->code);
  finish_closed(ws, item->code, item->data, item->len);
}

static void take_item(wrenn_ws_op *ws, const wrenn_ws_item *item,
                      wrenn_block *block) {
  switch (item->opcode) {
  case WRENN_WS_CLOSE:
    take_close(ws, item);
    return;
  case WRENN_WS_PING:
    ws->want_pong = true;
    ws->pong_len = item->len;
    memcpy(ws->pong, item->data, item->len);
    return;
  case WRENN_WS_PONG:
    return;
  default:
    if (!ws->closing)
      wrenn_ws_emit(ws, item, block);
  }
}

/* Ends a connection after a violation of the protocol, and tells the peer. */
static void give_up(wrenn_ws_op *ws, wrenn_ws_result result) {
  wrenn_op *op = &ws->transfer.op;
  wrenn_ws_emit_rest(ws);
  switch (result) {
  case WRENN_WS_TOO_LARGE:
    wrenn_ws_say_close(ws, 1009);
    wrenn_op_fail(op, WRENN_E_TOO_LARGE, "a message is over %zu bytes",
                  ws->reader.max_message);
    return;
  case WRENN_WS_BAD:
    wrenn_ws_say_close(ws, 1002);
    wrenn_op_fail(op, WRENN_E_PROTOCOL, "%s", ws->reader.why);
    return;
  default:
    wrenn_op_fail(op, WRENN_E_MEMORY, "%s", wrenn_strerror(WRENN_E_MEMORY));
  }
}

/* `block` contains the bytes, and events may refer to it; or NULL. */
static void take_bytes(wrenn_ws_op *ws, const char *data, size_t len,
                       wrenn_block *block) {
  wrenn_ws_result result = WRENN_WS_ITEM;
  while (!ws->transfer.op.ended && result != WRENN_WS_MORE) {
    wrenn_ws_item item;
    result = wrenn_ws_read(&ws->reader, &data, &len, &item);
    if (result == WRENN_WS_ITEM)
      take_item(ws, &item, block);
    else if (result != WRENN_WS_MORE)
      give_up(ws, result);
  }
  wrenn_ws_emit_rest(ws);
}

void wrenn_ws_opened(wrenn_ws_op *ws, const char *data, size_t len) {
  wrenn_op *op = &ws->transfer.op;
  ws->stage = WRENN_WS_OPEN;
  wrenn_op_connected(op);
  wrenn_op_answered(op);
  hear(ws);
  uint32_t tick = ws->ping_ms < 2 ? 1 : ws->ping_ms / 2;
  if (!ws->closing)
    uv_timer_start(&ws->timer, on_ping_due, tick, tick);
  wrenn_node *node = wrenn_op_node(op, WRENN_EV_OPENED, 0);
  if (!node)
    return;
  wrenn_op_emit(op, node);
  if (!op->paused || ws->closing)
    take_bytes(ws, data, len, NULL);
  else
    wrenn_buf_append(&ws->early, data, len);
  if (ws->early.oom)
    give_up(ws, WRENN_WS_NO_MEMORY);
}

/* A connection that is not open cannot be paused, and data received while it
 * closes is not for the user. */
static bool may_read(const wrenn_ws_op *ws) {
  return ws->stage != WRENN_WS_OPEN || !ws->transfer.op.paused || ws->closing;
}

static void on_lost(wrenn_ws_op *ws) {
  if (ws->stage != WRENN_WS_OPEN)
    wrenn_ws_lost_early(ws);
  else
    finish_closed(ws, ws->close_begun && !ws->leaving ? 1000 : 1006, NULL, 0);
}

static void read_on(wrenn_ws_op *ws) {
  wrenn_transfer *transfer = &ws->transfer;
  CURLcode code = CURLE_OK;
  if (ws->early.len && may_read(ws)) {
    wrenn_buf early = ws->early;
    ws->early = (wrenn_buf){0};
    take_bytes(ws, early.data, early.len, NULL);
    wrenn_buf_free(&early);
  }
  while (!transfer->op.ended && may_read(ws)) {
    size_t len;
    wrenn_block *block = wrenn_engine_block(transfer->engine);
    if (!block) {
      give_up(ws, WRENN_WS_NO_MEMORY);
      return;
    }
    code = wrenn_carry_read(transfer, block, ws->broken, &len);
    if (len)
      hear(ws);
    if (len && ws->stage == WRENN_WS_OPEN)
      take_bytes(ws, block->bytes, len,
                 len >= WRENN_READ_SIZE / 2 ? block : NULL);
    else if (len)
      wrenn_ws_answered(ws, block->bytes, len);
    ws->drained = code == CURLE_AGAIN;
    if (transfer->op.ended || (ws->drained && !ws->broken))
      return;
    if (code) {
      on_lost(ws);
      return;
    }
  }
}

static void write_on(wrenn_ws_op *ws) {
  wrenn_op *op = &ws->transfer.op;
  wrenn_ws_flush(ws);
  if (ws->broken && !op->ended)
    read_on(ws);
  if (!op->ended)
    wrenn_watch_want(ws->transfer.engine, ws->fd,
                     (may_read(ws) ? UV_READABLE : 0) |
                         (ws->blocked ? UV_WRITABLE : 0));
}

/* Reads first: a peer that has closed may have sent the reason. */
void wrenn_ws_turn(wrenn_ws_op *ws) {
  read_on(ws);
  if (!ws->transfer.op.ended)
    write_on(ws);
}

/* ---- API ----------------------------------------------------------------- */

static wrenn_ws_op *find_ws(const wrenn_loop *loop, wrenn_id id) {
  wrenn_op *op = wrenn_op_find(loop, id);
  return op && op->class->stop == stop_ws ? (wrenn_ws_op *)op : NULL;
}

static void kick_ws(wrenn_op *op) {
  wrenn_ws_op *ws = (wrenn_ws_op *)op;
  ws->held = ws->held || op->paused;
  if (ws->stage == WRENN_WS_CONNECTING)
    return;
  if (ws->drained && !ws->early.len)
    write_on(ws);
  else
    wrenn_ws_turn(ws);
}

wrenn_status wrenn_ws_open(wrenn_loop *loop, const wrenn_ws_options *given,
                           wrenn_id *id) {
  static const wrenn_op_class class = {
      .kick = kick_ws, .stop = stop_ws, .free = free_ws};
  wrenn_ws_options own;
  const wrenn_ws_options *options = &own;
  if (!wrenn_options_copy(&own, sizeof(own), given, given->size))
    return WRENN_E_ARGUMENT;
  wrenn_status status = wrenn_loop_check(loop);
  if (status)
    return status;
  wrenn_ws_op *ws = calloc(1, sizeof(*ws));
  if (!ws)
    return WRENN_E_MEMORY;
  ws->transfer.op.user = options->user;
  ws->codec = options->codec;
  ws->reader.max_message =
      options->max_message ? options->max_message : MAX_MESSAGE;
  ws->ping_ms = options->ping_ms ? options->ping_ms : PING_MS;
  ws->out_end = &ws->out;
  status = wrenn_ws_prepare(loop, ws, options);
  if (status)
    goto out;
  status = wrenn_op_start(loop, &ws->transfer.op, &class, &options->deadlines);
  if (status)
    goto out;
  *id = ws->transfer.op.id;
  uv_timer_init(&loop->uv, &ws->timer);
  ws->timer.data = ws;
  wrenn_transfer_go(&ws->transfer);
  ws = NULL;

out:
  if (ws)
    free_ws(&ws->transfer.op);
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
  wrenn_ws_message *message = wrenn_ws_message_new(
      ws, binary ? WRENN_WS_BINARY : WRENN_WS_TEXT, data, len);
  if (!message)
    return WRENN_E_MEMORY;
  message->counts = len;
  *ws->out_end = message;
  ws->out_end = &message->next;
  ws->unsent += len;
  wrenn_op_call(&ws->transfer.op);
  return WRENN_OK;
}

wrenn_status wrenn_ws_send_start(wrenn_loop *loop, wrenn_id id,
                                 const char *const *words, size_t count) {
  if (count == 0)
    return WRENN_E_ARGUMENT;
  wrenn_buf frame = {0};
  wrenn_frame_put_start(&frame, words, count);
  wrenn_status status =
      frame.oom ? WRENN_E_MEMORY
                : wrenn_ws_send(loop, id, frame.data, frame.len, false);
  wrenn_buf_free(&frame);
  return status;
}

wrenn_status wrenn_ws_send_input(wrenn_loop *loop, wrenn_id id,
                                 const void *data, size_t len) {
  wrenn_buf frame = {0};
  wrenn_frame_put_input(&frame, data, len);
  wrenn_status status =
      frame.oom ? WRENN_E_MEMORY
                : wrenn_ws_send(loop, id, frame.data, frame.len, false);
  wrenn_buf_free(&frame);
  return status;
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
  uv_timer_start(&ws->timer, on_close_overdue, CLOSE_MS, 0);
  wrenn_op_kick(&ws->transfer.op);
  return WRENN_OK;
}
