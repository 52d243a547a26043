/*
 * What all operations share: the id, the deadlines, back-pressure and the rule
 * of exactly one terminal event. Internal.
 *
 * A transport embeds wrenn_op as its first member and provides a class. From
 * the callbacks of its library it reports what happened (wrenn_op_emit,
 * wrenn_op_fail, ...). It learns of the user's requests in `kick`, which is
 * called from wrenn_loop_step only, never inside an API call or a callback.
 */
#ifndef WRENN_OP_H
#define WRENN_OP_H

#include <sys/resource.h>
#include <uv.h>

#include "loop.h"
#include "queue.h"

/* An operation stops reading while this much of it waits in the queue. */
#define WRENN_WINDOW ((size_t)256 * 1024)

typedef struct wrenn_op_class {
  /* Applies what the user asked for: sends, pause state, close. */
  void (*kick)(wrenn_op *op);
  /* The op has ended: release the connection, now or soon, then call
   * wrenn_op_unref once. NULL: there is no transport. */
  void (*stop)(wrenn_op *op);
  /* Frees what the transport owns and the op itself. */
  void (*free)(wrenn_op *op);
  /* Whether the peer may have received what the op was to send. NULL: it has
   * not. Not called after `stop`. */
  bool (*sent)(const wrenn_op *op);
} wrenn_op_class;

struct wrenn_op {
  wrenn_loop *loop;
  const wrenn_op_class *class;
  wrenn_id id;
  unsigned refs;       /* the transport's and the timer's */
  void *user;          /* the caller's; set before wrenn_op_start */
  bool ended;          /* the terminal event is in the queue */
  bool connected;      /* the connect deadline is over */
  bool answered;       /* the head deadline is over */
  bool starved;        /* waits for the user: no head or idle deadline */
  bool user_paused;    /* wrenn_pause */
  bool paused;         /* user_paused, or the window is full */
  bool kicked;         /* in the loop's kick list */
  wrenn_op *next_kick; /* the loop's kick list */
  int number;          /* errno behind its failure; 0: none */
  size_t backlog;      /* cost of the queued events */
  wrenn_node *reserve; /* the terminal event for when memory runs out */
  wrenn_deadlines limits;
  uint64_t started; /* uv_now */
  uint64_t active;  /* uv_now of the last byte either way */
  uint64_t asked;   /* uv_now of the last byte of the request */
  uint64_t begun;   /* uv_now of the answer's first line; 0: none yet */
  uint64_t due;     /* when the timer should fire; 0: it came late */
  uv_timer_t timer;
};

/* Registers a zeroed op, starts its deadlines and gives it an id. On failure
 * the op is unchanged and remains the caller's; on success the loop owns it,
 * and class->free will be called. */
wrenn_status wrenn_op_start(wrenn_loop *loop, wrenn_op *op,
                            const wrenn_op_class *class,
                            const wrenn_deadlines *limits);

/* Copies an option struct of `size` bytes that a caller gave to one that has
 * `known` bytes: what the caller's does not have becomes zero. False: `size` is
 * none, or the caller asks for something that was added later. */
bool wrenn_options_copy(void *to, size_t known, const void *from, size_t size);

/* Finds a live op; NULL if the id is stale. */
wrenn_op *wrenn_op_find(const wrenn_loop *loop, wrenn_id id);

/* Drops one reference; the last one frees the op. */
void wrenn_op_unref(wrenn_op *op);

/* Schedules a call of `kick` in the next step. */
void wrenn_op_kick(wrenn_op *op);

/* The same, for a kick that brings no events: a wait makes the call without a
 * step, which would cost more. */
void wrenn_op_call(wrenn_op *op);

/* Bytes were transferred: restarts the idle deadline. */
void wrenn_op_touch(wrenn_op *op);

/* The connection is made: ends the connect deadline. */
void wrenn_op_connected(wrenn_op *op);

/* A part of the request was sent: restarts the head deadline. */
void wrenn_op_asking(wrenn_op *op);

/* The request waits for more from the user, or no longer does. */
void wrenn_op_starve(wrenn_op *op, bool starved);

/* The head of an answer has begun; or what had begun was not the final
 * answer. */
void wrenn_op_head(wrenn_op *op, bool begun);

/* The head is complete: ends the head deadline. */
void wrenn_op_answered(wrenn_op *op);

/* Makes a node for this op; when out of memory, ends the op and returns
 * NULL. */
wrenn_node *wrenn_op_node(wrenn_op *op, wrenn_event_type type, size_t cap);

/* Queues an event that is not terminal. Takes ownership of the node. */
void wrenn_op_emit(wrenn_op *op, wrenn_node *node);

/* Queues the terminal event and ends the op. Takes ownership of the node. */
void wrenn_op_finish(wrenn_op *op, wrenn_node *node);

/* Ends the op with FAILED and a message; does nothing if it has ended. */
void wrenn_op_fail(wrenn_op *op, wrenn_status error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Like wrenn_op_fail, for a process that has run out of file descriptors. */
void wrenn_op_fail_fds(wrenn_op *op);

/* The process's limit of descriptors; RLIM_INFINITY: none. */
rlim_t wrenn_fd_limit(void);

/* Whether a connection may use this new descriptor. The last few below the
 * process's limit are left to others: name look-ups and the user's own files
 * would fail in worse ways than a connection with a clear error. */
bool wrenn_fd_to_spare(int fd);

/* The user has taken an event of this id: subtracts its cost. */
void wrenn_op_taken(wrenn_loop *loop, const wrenn_node *node);

/* Ends every op without events and releases its connection. */
void wrenn_op_stop_all(wrenn_loop *loop);

#endif
