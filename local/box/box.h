/*
 * The inside of a capsule: its sandbox and its processes. Nothing here knows
 * what a capsule is in the API.
 */
#ifndef WRENN_LOCAL_BOX_BOX_H
#define WRENN_LOCAL_BOX_BOX_H

#include <stdbool.h>

#include "box/sandbox.h"
#include "util/list.h"

typedef struct box box;
typedef struct process process;

/* Settings that all boxes of a server share. */
typedef struct box_site {
  uv_loop_t *loop;
  const char *bwrap;          /* its path; NULL: no walls */
  const char *agent;          /* path of wrenn-agent */
  bool range;                 /* systems of their own have many users */
  bool is_root;               /* the server is root of the machine */
  const char *etc;            /* folder with the files of accounts.h */
  const struct account *user; /* the default user of commands */
  uint64_t open_files;        /* a command's limit of descriptors */
  bool private_network;       /* each has only a loopback interface */
  const char *slirp;          /* slirp4netns, for a way out; or NULL */
  bool sizes;                 /* bubblewrap can limit the size of a tmpfs */
  const cgroups *cgroups;     /* what limits are enforced with */

  /* How processes run and appear, which depends on the generation. */
  bool login_shell; /* runs each command, and lines without args */
  bool kills_group; /* each command leads a process group, which is signalled */
  bool replays;     /* output is collected, and new listeners get the latest */
  bool lists_to_the_end; /* processes are listed until their output ends */
  bool friendly;         /* the Python kernel is found as `wrenn` too */
} box_site;

typedef struct box_hooks {
  void (*ready)(box *b);
  void (*gone)(box *b); /* everything in it has ended; call box_end */
} box_hooks;

struct box {
  const box_site *site;
  box_hooks hooks;
  const char *id,
      *template; /* the capsule's; in the environment of its programs */
  cgroup_limits limits;
  const char *folder; /* the capsule's folder */
  const char *system; /* the tree that its system lies over; NULL: the host's */
  const char *const *layers; /* of sandbox.h */
  size_t layer_count;
  sandbox *sandbox; /* NULL before and after */
  list processes;
  bool has_jupyter;
};

/* Starts the sandbox in the folder, with additional folders of the host; false
 * if it cannot be started. `gone` may be called without `ready`. */
bool box_start(box *b, const sandbox_bind *binds, size_t count);

/* Sends an order to the agent, like sandbox_order; also false if there is no
 * sandbox. */
bool box_order(const box *b, const wrenn_buf *order, sandbox_done *done,
               void *arg);

/* Ends the sandbox, if there is one; `gone` follows. */
void box_stop(box *b);

/* Reports the end of every process, and frees the sandbox after its end. */
void box_end(box *b);

/* The home directory of a user as the agent sees it; the caller prepends the
 * folder that contains it. */
const char *box_top(const box *b);

#endif
