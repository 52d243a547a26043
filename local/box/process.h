/*
 * The processes that were started through the API: their output, which is
 * passed to listeners, and their end.
 */
#ifndef WRENN_LOCAL_BOX_PROCESS_H
#define WRENN_LOCAL_BOX_PROCESS_H

#include "box/box.h"

typedef enum process_output {
  PROCESS_STDOUT,
  PROCESS_STDERR,
  PROCESS_PTY
} process_output;

/* A listener of a process. */
typedef struct process_sink {
  list_link link; /* of the process's */
  process *of;    /* NULL: not listening */
  bool full;      /* accepts no output for now: the process's pipes fill up */
  void (*output)(struct process_sink *sink, process_output which,
                 const char *data, size_t len);
  void (*exited)(struct process_sink *sink, int code); /* after all output */
} process_sink;

struct process {
  list_link link; /* of the box's, while it is listed */
  box *of;
  int64_t pid;
  char *tag;       /* or NULL */
  wrenn_buf words; /* the members cmd and args, as the API shows them */
  bool pty;
  bool exited;
  bool told; /* the sinks have been told of the end */
  int code;
  list sinks;
  unsigned open_pipes;
  uv_pipe_t pipes[2]; /* stdout and stderr, or the terminal */
  unsigned open_handles;
  list inputs;       /* input of a terminal; the first one is being written */
  uv_timer_t typing; /* for the next attempt to write */
  bool printed;      /* there was output since the timer was started */
  uv_timer_t timer;  /* for a terminal whose program has ended */
  /* For generations that collect and replay output. */
  uv_timer_t breath; /* runs for some milliseconds after output was passed on */
  wrenn_buf gathered[3]; /* output collected meanwhile, by process_output */
  wrenn_buf past;        /* records of past output, the latest last */
};

/* What to start. The strings belong to the caller; `args` and `envs` are a JSON
 * array and object, or of type NULL. */
typedef struct process_plan {
  const char *cmd;
  wrenn_json args;
  wrenn_json envs;
  const char *cwd;            /* "" is home */
  const char *tag;            /* or NULL */
  const struct account *user; /* NULL: the default user */
  bool pty;
  int64_t cols, rows;
} process_plan;

/* The result: a process, or an error as in sandbox_reply. */
typedef void process_started(void *arg, process *p, const char *error,
                             const char *text);

/* Starts a process; `done` is called once, later. Returns false if it will not
 * be called. */
bool process_start(box *b, const process_plan *plan, process_started *done,
                   void *arg);

/* Appends the environment as a member of an order: the default one of a user,
 * and the given variables. */
void process_put_envs(const box *b, const struct account *user,
                      const wrenn_json *envs, wrenn_buf *out);

/* Finds a listed process: digits that fit into 32 bits are a pid, anything else
 * is a tag. NULL if there is none. */
process *process_find(const box *b, const char *selector);
process *process_find_tag(const box *b, const char *tag);

/* Writes the message for a selector that no process has. */
void process_unknown(const char *selector, char *text, size_t size);

/* Starts and stops listening. If the generation replays, a new listener first
 * gets the latest output. */
void process_listen(process *p, process_sink *sink);
void process_leave(process_sink *sink);

/* process_output.c, for the other two: prepares the output; reads while no
 * listener is full; passes on collected output, and the next without delay;
 * frees everything. */
void process_output_init(process *p);
void process_update(process *p);
void process_read_rest(process *p); /* of a terminal: reads what is available */
bool process_has_full_sink(const process *p);
void process_flush(process *p);
void process_hurry(process *p);
void process_output_free(process *p);

/* A pipe has ended; output is abandoned; a handle has been closed. */
void process_pipe_ended(process *p, uv_stream_t *pipe);
void process_end_output(process *p);
void process_on_handle_closed(uv_handle_t *handle);

/* Sets whether a listener accepts no output for now. */
void process_sink_full(process_sink *sink, bool full);

/* process_input.c: writes input to a terminal, one block after the other; what
 * the program does not read for some seconds is dropped. Takes ownership of
 * `data`, an allocated block. `done`, or NULL, is called once, later. Returns
 * false if it will not be called, because there is no terminal (any more). */
typedef void process_typed(void *arg);
bool process_write(process *p, char *data, size_t len, process_typed *done,
                   void *arg);
void process_input_init(process *p);
void process_input_end(process *p); /* drops pending input */

void process_resize(process *p, int64_t cols, int64_t rows);

/* Sends a signal to the process, or to its group, depending on the generation;
 * false if there is no sandbox. */
bool process_signal(process *p, int signal, sandbox_done *done, void *arg);

/* Appends the process as the API lists it. */
void process_put(const process *p, wrenn_buf *out);

/* The agent reports that a process has ended. */
void process_exited(box *b, int64_t pid, int code);

/* The sandbox has ended, and with it all of its processes. */
void processes_end(box *b);

#endif
