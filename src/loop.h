/* The internals of the loop, for the core's own files. */
#ifndef WRENN_LOOP_H
#define WRENN_LOOP_H

#include <sys/types.h>
#include <uv.h>

#include "queue.h"

typedef struct wrenn_op wrenn_op;

typedef struct wrenn_slot {
  wrenn_op *op; /* NULL: free */
  uint32_t generation;
  uint32_t next_free; /* index + 1; 0: none */
} wrenn_slot;

struct wrenn_loop {
  uv_loop_t uv;
  uv_async_t wake; /* keeps the loop alive; sent when a step is due */
  pid_t pid;
  bool dirty;        /* something was left to libuv */
  bool turning;      /* inside a step, which handles `dirty` at its end */
  bool watched;      /* wrenn_loop_watch */
  int alarm_fd;      /* watched: for the next timeout */
  uint64_t alarm_at; /* what it is set to, in uv_now's time; 0: not set */
  uv_poll_t alarm;
  bool sigpipe; /* a connection over TLS may raise SIGPIPE */
  bool bare;    /* the process has not all standard streams */
  wrenn_queue queue;
  wrenn_node *current; /* what wrenn_loop_next handed out last */
  wrenn_op *kicks;
  wrenn_slot *slots;
  uint32_t slot_count;
  uint32_t free_slot;          /* index + 1; 0: none */
  struct wrenn_engine *engine; /* connection.c; NULL until first used */
};

/* Makes the fd readable if watched. */
void wrenn_loop_wake(wrenn_loop *loop);

/* The same, and makes a step due that runs libuv. */
void wrenn_loop_dirty(wrenn_loop *loop);

/* Drops what is left of an operation's events. */
void wrenn_loop_drop(wrenn_loop *loop, wrenn_id id);

/* Calls `work` as a step would, inside an API call. */
void wrenn_loop_do(wrenn_loop *loop, void (*work)(wrenn_loop *loop));

/* Whether this process may use the loop: OK or FORKED. */
wrenn_status wrenn_loop_check(const wrenn_loop *loop);

/* A process may run without standard streams; what is printed to them must not
 * go to a descriptor of the library's. Between these two calls no descriptor
 * gets their numbers. Occupies those that are free, and returns which. */
typedef struct wrenn_streams {
  int fds[3];
  int count;
} wrenn_streams;
wrenn_streams wrenn_streams_hold(void);
void wrenn_streams_release(const wrenn_streams *held);

/* Frees the engine at the end of the loop. NULL is allowed. */
void wrenn_engine_free(struct wrenn_engine *engine);

#endif
