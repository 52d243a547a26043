#include "queue.h"

#include <stdlib.h>

wrenn_block *wrenn_block_new(size_t size) {
  wrenn_block *block = malloc(sizeof(*block) + size);
  if (block)
    block->refs = 1;
  return block;
}

void wrenn_block_unref(wrenn_block *block) {
  if (block && --block->refs == 0)
    free(block);
}

wrenn_node *wrenn_node_new(wrenn_id id, wrenn_event_type type, size_t cap) {
  if (cap > SIZE_MAX - sizeof(wrenn_node))
    return NULL;
  wrenn_node *node = malloc(sizeof(*node) + cap);
  if (!node)
    return NULL;
  *node = (wrenn_node){.cap = cap};
  node->event.id = id;
  node->event.type = type;
  node->event.data = node->bytes;
  node->event.headers = node->bytes;
  return node;
}

void wrenn_node_free(wrenn_node *node) {
  if (!node)
    return;
  free(node->owned);
  wrenn_block_unref(node->block);
  free(node);
}

size_t wrenn_node_cost(const wrenn_node *node) {
  return sizeof(*node) + node->cap + node->elsewhere;
}

wrenn_message *wrenn_node_messages(wrenn_node *node) {
  return (wrenn_message *)(void *)node->bytes; /* behind members as wide */
}

bool wrenn_node_has_rest(const wrenn_node *node) {
  return node && node->taken < node->count;
}

void wrenn_node_take(wrenn_node *node, wrenn_event *event) {
  *event = node->event;
  if (!wrenn_node_has_rest(node))
    return;
  const wrenn_message *message = &wrenn_node_messages(node)[node->taken++];
  event->data = message->data;
  event->data_len = message->len;
  event->frame.kind = (wrenn_frame_kind)message->kind;
  event->frame.type = message->type;
  event->frame.type_len = message->type_len;
  event->frame.data = message->frame_data;
  event->frame.data_len = message->frame_len;
  event->frame.binary = message->binary;
}

void wrenn_queue_push(wrenn_queue *queue, wrenn_node *node) {
  node->next = NULL;
  if (queue->tail)
    queue->tail->next = node;
  else
    queue->head = node;
  queue->tail = node;
}

static void forget_filler(wrenn_node *node) {
  if (node->filler)
    *node->filler = NULL;
  node->filler = NULL;
}

wrenn_node *wrenn_queue_pop(wrenn_queue *queue) {
  wrenn_node *node = queue->head;
  if (!node)
    return NULL;
  queue->head = node->next;
  if (!queue->head)
    queue->tail = NULL;
  forget_filler(node);
  return node;
}

void wrenn_queue_drop(wrenn_queue *queue, wrenn_id id) {
  wrenn_queue kept = {0};
  wrenn_node *next;
  for (wrenn_node *node = queue->head; node; node = next) {
    next = node->next;
    if (id && node->event.id != id) {
      wrenn_queue_push(&kept, node);
      continue;
    }
    forget_filler(node);
    wrenn_node_free(node);
  }
  *queue = kept;
}
