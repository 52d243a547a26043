/*
 * The way out of a capsule's network: slirp4netns, a process beside the capsule
 * that carries what is sent to a virtual interface inside. It starts when the
 * agent is ready, and ends with the capsule, or with the server.
 */
#ifndef WRENN_LOCAL_BOX_UPLINK_H
#define WRENN_LOCAL_BOX_UPLINK_H

#include <stdbool.h>
#include <uv.h>

#include "box/words.h"

typedef struct uplink {
  uv_process_t process;
  uv_poll_t poll;  /* of `ready` */
  int hold, ready; /* ends of pipes; -1: closed */
  unsigned open_handles;
  bool exited, stopped;
  void (*settled)(void *arg,
                  bool works); /* called once, unless it is stopped */
  void (*gone)(void *arg);     /* the last call, after uplink_stop */
  void *arg;
} uplink;

/* Writes the file that tells programs in a capsule who knows names; false with
 * errno. Appends the options that put it in its place. */
bool uplink_write(const char *folder);
void uplink_put_walls(words *w, const char *folder, const char *place);

/* What keeps the program of this path from doing it, and the remedy; NULL if
 * nothing does. */
const char *uplink_lacks(const char *slirp, bool is_root);

/* Starts it with the help of the agent, for the capsule whose bubblewrap has
 * this pid; false if it cannot be started: then nothing is to be stopped.
 * `settled` follows. */
bool uplink_start(uplink *u, uv_loop_t *loop, const char *agent,
                  const char *slirp, pid_t bwrap);

/* Ends it; `gone` follows. */
void uplink_stop(uplink *u);

#endif
