/* The messages of a WebSocket as events. */
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "ws_op.h"

/* The messages of a well used block share nodes, up to this number and size:
 * one for each small message would cost more than all else that is done with
 * it. */
#define BATCH ((size_t)64)
#define BATCH_BYTES ((size_t)64 * 1024)

/* Decodes a message in place. False: the operation has failed. */
static bool decode(wrenn_ws_op *ws, const wrenn_ws_item *item, char *data,
                   wrenn_frame *frame) {
  const char *why = NULL;
  bool binary = item->opcode == WRENN_WS_BINARY;
  *frame = (wrenn_frame){.binary = binary};
  if (ws->codec == WRENN_CODEC_RAW ||
      wrenn_frame_decode(ws->codec, binary, data, item->len, frame, &why))
    return true;
  wrenn_ws_emit_rest(ws);
  wrenn_op_fail(&ws->transfer.op, WRENN_E_PROTOCOL, "malformed frame: %s", why);
  return false;
}

/* ---- one by itself ------------------------------------------------------- */

/* A node with a message's bytes: those assembled by the reader, `owned`, those
 * in the block, or a copy. */
static wrenn_node *node_of(wrenn_ws_op *ws, const wrenn_ws_item *item,
                           char *owned, wrenn_block *block) {
  bool stays = !owned && block;
  wrenn_node *node = wrenn_op_node(&ws->transfer.op, WRENN_EV_FRAME,
                                   owned || stays ? 0 : item->len);
  if (!node) {
    free(owned);
    return NULL;
  }
  node->owned = owned;
  if (stays) {
    node->block = block;
    block->refs++;
    node->event.data = item->data;
  } else if (owned) {
    node->event.data = owned;
  } else if (item->len) {
    memcpy(node->bytes, item->data, item->len);
  }
  node->elsewhere = owned || stays ? item->len : 0;
  node->event.data_len = item->len;
  return node;
}

/* ---- many in a block ----------------------------------------------------- */

void wrenn_ws_emit_rest(wrenn_ws_op *ws) {
  wrenn_node *node = ws->batch;
  ws->batch = NULL;
  if (node && node->count)
    wrenn_op_emit(&ws->transfer.op, node);
  else
    wrenn_node_free(node);
}

/* The node for one more message, or NULL when out of memory. */
static wrenn_node *batch_for(wrenn_ws_op *ws, size_t len, wrenn_block *block) {
  wrenn_node *node = ws->batch;
  if (node && (node->count == BATCH || node->elsewhere + len > BATCH_BYTES)) {
    wrenn_ws_emit_rest(ws);
    node = NULL;
  }
  if (!node) {
    node = wrenn_op_node(&ws->transfer.op, WRENN_EV_FRAME,
                         BATCH * sizeof(wrenn_message));
    if (!node)
      return NULL;
    node->block = block;
    block->refs++;
    ws->batch = node;
  }
  return node;
}

/* Whether a frame fits in a wrenn_message. */
static bool is_light(const wrenn_frame *frame) {
  return frame->kind != WRENN_FRAME_EXIT && !frame->pid && !frame->tag &&
         !frame->fatal;
}

/* Decodes a message where it is, in a well used block. */
static void add_to_batch(wrenn_ws_op *ws, const wrenn_ws_item *item,
                         wrenn_block *block) {
  wrenn_frame frame;
  if (!decode(ws, item, (char *)item->data, &frame))
    return;
  if (!is_light(&frame)) {
    wrenn_ws_emit_rest(ws);
    wrenn_node *own = node_of(ws, item, NULL, block);
    if (!own)
      return;
    own->event.frame = frame;
    wrenn_op_emit(&ws->transfer.op, own);
    return;
  }
  wrenn_node *node = batch_for(ws, item->len, block);
  if (!node)
    return;
  wrenn_node_messages(node)[node->count++] = (wrenn_message){
      .data = item->data,
      .type = frame.type,
      .frame_data = frame.data,
      .len = (uint32_t)item->len,
      .type_len = (uint32_t)frame.type_len,
      .frame_len = (uint32_t)frame.data_len,
      .kind = (uint8_t)frame.kind,
      .binary = frame.binary,
  };
  node->elsewhere += item->len;
}

/* ---- either -------------------------------------------------------------- */

void wrenn_ws_emit(wrenn_ws_op *ws, const wrenn_ws_item *item,
                   wrenn_block *block) {
  char *owned = wrenn_ws_reader_take(&ws->reader, item);
  if (block && !owned && item->len < BATCH_BYTES) {
    add_to_batch(ws, item, block);
    return;
  }
  wrenn_ws_emit_rest(ws);
  wrenn_node *node = node_of(ws, item, owned, block);
  if (!node)
    return;
  if (decode(ws, item, (char *)node->event.data, &node->event.frame))
    wrenn_op_emit(&ws->transfer.op, node);
  else
    wrenn_node_free(node);
}
