/* What the two halves of the handler of terminals share: pty.c talks to the
 * client, pty_input.c does what the client wants done. */
#ifndef WRENN_LOCAL_API_PTY_H
#define WRENN_LOCAL_API_PTY_H

#include "box/process.h"
#include "http/ws.h"
#include "model/capsule.h"

/* One client of a terminal. The connection, the order to start it, the timer
 * and input under way each keep it. */
typedef struct terminal {
  ws *ws; /* NULL once the client is gone */
  const traits *traits;
  uint64_t ping_ms;
  capsule *capsule;
  session session;
  process_sink sink;
  uv_timer_t pinger;
  bool begun;
  bool hears;      /* what the client sends is looked at */
  bool busy;       /* starting, or input is under way: the queue waits */
  wrenn_buf queue; /* of what the client has sent meanwhile */
  unsigned queued; /* how many messages that is */
  unsigned refs;
} terminal;

void terminal_unref(terminal *t);

/* Takes what a client has sent: at once, behind what is under way, or not at
 * all when too much waits already. */
void terminal_type(terminal *t, const char *data, size_t len);
void terminal_resize(terminal *t, int64_t cols, int64_t rows);
void terminal_kill(terminal *t);

/* Does what the queue holds, as far as nothing is under way. */
void terminal_work(terminal *t);

/* Its client is gone: what the queue holds is done all the same, now. NULL: to
 * nobody. */
void terminal_end_input(terminal *t, process *p);

#endif
