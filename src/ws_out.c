/* The output of a WebSocket, one whole frame after the other. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "ws_op.h"

/* The mask of a frame has to be unpredictable; a system call for each would
 * cost more than the frame. */
static bool next_mask(wrenn_ws_op *ws, unsigned char mask[4]) {
  if (ws->masks_left < 4) {
    if (getentropy(ws->masks, sizeof(ws->masks)))
      return false;
    ws->masks_left = sizeof(ws->masks);
  }
  ws->masks_left -= 4;
  memcpy(mask, ws->masks + ws->masks_left, 4);
  return true;
}

wrenn_ws_message *wrenn_ws_message_new(wrenn_ws_op *ws, wrenn_ws_opcode opcode,
                                       const void *data, size_t len) {
  unsigned char mask[4];
  if (len > SIZE_MAX - sizeof(wrenn_ws_message) - WRENN_WS_HEAD ||
      !next_mask(ws, mask))
    return NULL;
  wrenn_ws_message *message = malloc(sizeof(*message) + WRENN_WS_HEAD + len);
  if (!message)
    return NULL;
  message->next = NULL;
  message->counts = 0;
  message->size = wrenn_ws_put_frame(message->bytes, opcode, data, len, mask);
  return message;
}

static wrenn_ws_message *make_control(wrenn_ws_op *ws, wrenn_ws_opcode opcode,
                                      const void *data, size_t len) {
  wrenn_ws_message *message = wrenn_ws_message_new(ws, opcode, data, len);
  if (!message)
    wrenn_op_fail(&ws->transfer.op, WRENN_E_MEMORY, "%s",
                  wrenn_strerror(WRENN_E_MEMORY));
  return message;
}

static wrenn_ws_message *make_close(wrenn_ws_op *ws, int code) {
  const unsigned char bytes[2] = {(unsigned char)(code >> 8),
                                  (unsigned char)code};
  ws->close_begun = true;
  return make_control(ws, WRENN_WS_CLOSE, bytes, code == 1005 ? 0 : 2);
}

static wrenn_ws_message *next_message(wrenn_ws_op *ws) {
  wrenn_ws_message *message = ws->request;
  ws->request = NULL;
  if (message || ws->stage != WRENN_WS_OPEN || ws->close_begun)
    return message;
  if (ws->close_now)
    return make_close(ws, ws->close_now);
  if (ws->want_ping) {
    ws->want_ping = false;
    return make_control(ws, WRENN_WS_PING, "", 0);
  }
  if (ws->want_pong) {
    ws->want_pong = false;
    return make_control(ws, WRENN_WS_PONG, ws->pong, ws->pong_len);
  }
  message = ws->out;
  if (!message)
    return ws->closing ? make_close(ws, 1000) : NULL;
  ws->out = message->next;
  if (!ws->out)
    ws->out_end = &ws->out;
  return message;
}

/* A failed write is not the end: data that the peer has sent before closing is
 * still to be read, and reading reports the end. */
void wrenn_ws_flush(wrenn_ws_op *ws) {
  ws->blocked = false;
  while (!ws->broken && !ws->transfer.op.ended) {
    if (!ws->leaving) {
      ws->leaving = next_message(ws);
      ws->sent = 0;
    }
    wrenn_ws_message *message = ws->leaving;
    if (!message)
      return;
    size_t part = 0;
    CURLcode code = curl_easy_send(ws->transfer.easy, message->bytes + ws->sent,
                                   message->size - ws->sent, &part);
    if (code == CURLE_AGAIN) {
      ws->blocked = true;
      return;
    }
    if (code) {
      ws->broken = true;
      return;
    }
    wrenn_op_touch(&ws->transfer.op);
    ws->sent += part;
    if (ws->sent < message->size)
      continue;
    ws->unsent -= message->counts;
    ws->leaving = NULL;
    free(message);
  }
}

void wrenn_ws_say_close(wrenn_ws_op *ws, int code) {
  ws->close_now = code;
  wrenn_ws_flush(ws);
}

static void free_all(wrenn_ws_message *message) {
  while (message) {
    wrenn_ws_message *next = message->next;
    free(message);
    message = next;
  }
}

void wrenn_ws_drop_out(wrenn_ws_op *ws) {
  free_all(ws->leaving);
  free_all(ws->out);
  free(ws->request);
}
