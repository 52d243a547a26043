/* Shared by the two parts of the handler of terminals: pty.c talks to the
 * client, pty_input.c executes its messages. */
#ifndef WRENN_LOCAL_API_PTY_H
#define WRENN_LOCAL_API_PTY_H

#include "box/process.h"
#include "http/ws.h"
#include "model/capsule.h"

/* A client of a terminal. It is referenced by the connection, the order to
 * start the terminal, the timer and pending input. */
typedef struct terminal {
  ws *ws; /* NULL once the client is gone */
  const traits *traits;
  uint64_t ping_ms;
  capsule *capsule;
  session session;
  process_sink sink;
  uv_timer_t pinger;
  bool begun;
  bool hears;      /* messages of the client are handled */
  bool busy;       /* starting, or writing input: messages are queued */
  wrenn_buf queue; /* messages that have to wait */
  unsigned queued; /* their number */
  unsigned refs;
} terminal;

void terminal_unref(terminal *t);

/* Handles a message of a client: at once, after pending ones, or not at all if
 * too many are pending. */
void terminal_type(terminal *t, const char *data, size_t len);
void terminal_resize(terminal *t, int64_t cols, int64_t rows);
void terminal_kill(terminal *t);

/* Executes the queue until input is pending. */
void terminal_work(terminal *t);

/* The client is gone: executes the rest of the queue at once, for a process;
 * with NULL it is discarded. */
void terminal_end_input(terminal *t, process *p);

#endif
