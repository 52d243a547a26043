/* The queue through which all events leave. Internal. */
#ifndef WRENN_QUEUE_H
#define WRENN_QUEUE_H

#include "wrenn.h"

/* Memory that several nodes share. Created with one reference. */
typedef struct wrenn_block {
  size_t refs;
  char bytes[];
} wrenn_block;

/* Makes a block; NULL when out of memory. */
wrenn_block *wrenn_block_new(size_t size);

/* Drops a reference. NULL is allowed. */
void wrenn_block_unref(wrenn_block *block);

/* One of several messages in a node: what differs between frames of output, in
 * few bytes, as many of them wait at once. */
typedef struct wrenn_message {
  const char *data;
  const char *type; /* of the frame, as what follows */
  const char *frame_data;
  uint32_t len, type_len, frame_len;
  uint8_t kind;
  bool binary;
} wrenn_message;

/* An event, followed by its bytes; or several that differ in what a message
 * holds only, followed by those. */
typedef struct wrenn_node {
  struct wrenn_node *next;
  struct wrenn_node **filler; /* who still adds to this node; or NULL */
  wrenn_event event;
  char *owned; /* what else the event points to; freed with the node; or NULL */
  wrenn_block *block; /* the same, with a reference of the node's; or NULL */
  size_t elsewhere;   /* how much of either */
  size_t count;       /* the number of messages; 0: it is one event */
  size_t taken;       /* how many of them wrenn_node_take has returned */
  size_t cap;         /* size of bytes[] */
  char bytes[];
} wrenn_node;

typedef struct wrenn_queue {
  wrenn_node *head;
  wrenn_node *tail;
} wrenn_queue;

/* Makes a node with room for `cap` bytes; NULL when out of memory. */
wrenn_node *wrenn_node_new(wrenn_id id, wrenn_event_type type, size_t cap);

/* Frees a node that is in no queue. NULL is allowed. */
void wrenn_node_free(wrenn_node *node);

/* The cost of a node in an operation's backlog. */
size_t wrenn_node_cost(const wrenn_node *node);

/* The messages of a node that has room for them. */
wrenn_message *wrenn_node_messages(wrenn_node *node);

/* Whether there is another message in a node. NULL is allowed. */
bool wrenn_node_has_rest(const wrenn_node *node);

/* Returns a node's event, or the next one. */
void wrenn_node_take(wrenn_node *node, wrenn_event *event);

/* Appends a node, which the queue then owns. */
void wrenn_queue_push(wrenn_queue *queue, wrenn_node *node);

/* Removes the oldest node, which the caller then owns; NULL if empty. Resets
 * the node's filler. */
wrenn_node *wrenn_queue_pop(wrenn_queue *queue);

/* Frees the nodes of one operation, or all if `id` is 0. */
void wrenn_queue_drop(wrenn_queue *queue, wrenn_id id);

#endif
