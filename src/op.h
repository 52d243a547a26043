/*
 * What every operation shares: its id, its deadlines, its back-pressure and
 * the rule of exactly one terminal event. Internal.
 *
 * A transport embeds wrenn_op as its first member and provides a class. It
 * tells the op what happened (wrenn_op_emit, wrenn_op_fail, ...) from any of
 * its library's callbacks; it is told what the user wants by `kick`, which
 * runs from wrenn_loop_step only, never inside an API call or a callback.
 */
#ifndef WRENN_OP_H
#define WRENN_OP_H

#include <sys/resource.h>
#include <uv.h>

#include "loop.h"
#include "queue.h"

/* An operation reads no more while this much of it waits in the queue. */
#define WRENN_WINDOW ((size_t)256 * 1024)

typedef struct wrenn_op_class {
  /* Applies what the user asked for: sends, pause state, close. */
  void (*kick)(wrenn_op *op);
  /* The op has ended: let go of the connection, now or soon, then call
   * wrenn_op_unref once. NULL: there is no transport. */
  void (*stop)(wrenn_op *op);
  /* Frees what the transport owns and the op itself. */
  void (*free)(wrenn_op *op);
  /* Whether the peer may have got what the op was to send. NULL: it has not.
   * Not asked after `stop`. */
  bool (*sent)(const wrenn_op *op);
} wrenn_op_class;

struct wrenn_op {
  wrenn_loop *loop;
  const wrenn_op_class *class;
  wrenn_id id;
  unsigned refs;       /* the transport's and the timer's */
  bool ended;          /* the terminal event is in the queue */
  bool connected;      /* the connect deadline no longer counts */
  bool answered;       /* the head deadline no longer counts */
  bool starved;        /* waits for the user: neither head nor idle counts */
  bool user_paused;    /* wrenn_pause */
  bool paused;         /* user_paused, or the window is full */
  bool kicked;         /* in the loop's kick list */
  wrenn_op *next_kick; /* the loop's kick list */
  size_t backlog;      /* cost of the events not taken yet */
  wrenn_node *reserve; /* the terminal event for when memory is out */
  wrenn_deadlines limits;
  uint64_t started; /* uv_now */
  uint64_t active;  /* uv_now of the last byte either way */
  uint64_t asked;   /* uv_now of the last byte of the request */
  uint64_t begun;   /* uv_now of the answer's first line; 0: none yet */
  uv_timer_t timer;
};

/* Registers a freshly zeroed op, takes the loop's clock for its deadlines and
 * gives it an id. On failure the op is untouched and stays the caller's; on
 * success the loop owns it and class->free will end it. */
wrenn_status wrenn_op_start(wrenn_loop *loop, wrenn_op *op,
                            const wrenn_op_class *class,
                            const wrenn_deadlines *limits);

/* Finds a live op; NULL when the id is stale. */
wrenn_op *wrenn_op_find(const wrenn_loop *loop, wrenn_id id);

/* Gives back one reference; the last one frees the op. */
void wrenn_op_unref(wrenn_op *op);

/* Has `kick` called in the next step. */
void wrenn_op_kick(wrenn_op *op);

/* Bytes moved: starts the idle deadline anew. */
void wrenn_op_touch(wrenn_op *op);

/* The connection is up: from here on the connect deadline does not count. */
void wrenn_op_connected(wrenn_op *op);

/* A part of the request leaves: starts the head deadline anew. */
void wrenn_op_asking(wrenn_op *op);

/* The request goes no further before the user gives the rest, or he has. */
void wrenn_op_starve(wrenn_op *op, bool starved);

/* The head of an answer has begun; or what had begun was none of the final
 * answer's. */
void wrenn_op_head(wrenn_op *op, bool begun);

/* The head is complete: the head deadline does not count any more. */
void wrenn_op_answered(wrenn_op *op);

/* Makes a node for this op; when memory is out, ends the op and returns NULL.
 */
wrenn_node *wrenn_op_node(wrenn_op *op, wrenn_event_type type, size_t cap);

/* Queues an event that is not terminal. Owns the node. */
void wrenn_op_emit(wrenn_op *op, wrenn_node *node);

/* Queues the terminal event and ends the op. Owns the node. */
void wrenn_op_finish(wrenn_op *op, wrenn_node *node);

/* Ends the op with FAILED and a message; nothing if it has ended. */
void wrenn_op_fail(wrenn_op *op, wrenn_status error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As wrenn_op_fail, when the process has no file descriptor to spare. */
void wrenn_op_fail_fds(wrenn_op *op);

/* How many descriptors this process may have; RLIM_INFINITY: any. */
rlim_t wrenn_fd_limit(void);

/* Whether a connection may have this new descriptor. The last few below the
 * process's limit are left to others: name look-ups and the user's own files
 * would fail in worse ways than a connection that says why. */
bool wrenn_fd_to_spare(int fd);

/* The queue gave an event of this id to the user: its cost no longer counts. */
void wrenn_op_taken(wrenn_loop *loop, const wrenn_node *node);

/* Ends every op without events and lets go of its connection. */
void wrenn_op_stop_all(wrenn_loop *loop);

#endif
