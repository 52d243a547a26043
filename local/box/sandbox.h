/*
 * The sandbox of a capsule: a bubblewrap process with wrenn-agent as pid 1, and
 * the channel to that agent.
 */
#ifndef WRENN_LOCAL_BOX_SANDBOX_H
#define WRENN_LOCAL_BOX_SANDBOX_H

#include <stdbool.h>
#include <uv.h>

#include "box/cgroup.h"
#include "box/channel.h"
#include "json.h"

typedef struct sandbox sandbox;

/* The result of an order. On success `error` is NULL and `json` is the agent's
 * answer; otherwise `error` is its kind ("not_found", ...; "gone" if the
 * sandbox ended first) and `text` the reason. Valid during the call only. */
typedef struct sandbox_reply {
  const char *error;
  const char *text;
  wrenn_json json;
  channel_message *message; /* holds the descriptors; NULL when gone */
} sandbox_reply;

typedef void sandbox_done(void *arg, const sandbox_reply *reply);

typedef struct sandbox_hooks {
  void (*ready)(void *arg);
  void (*exited)(void *arg, int64_t pid, int code);
  void (*gone)(void *arg); /* the last call; every order has been answered */
  void *arg;
} sandbox_hooks;

/* A folder of the host that is visible and writable inside. */
typedef struct sandbox_bind {
  const char *host, *inside;
} sandbox_bind;

typedef struct sandbox_options {
  uv_loop_t *loop;
  const char *bwrap;  /* its path; NULL: no walls */
  const char *folder; /* the capsule's own, with the folders of walls.h */
  const char *agent;  /* path of wrenn-agent */
  const char *system; /* a tree that it has a layer of its own over; NULL: the
                         host's system folders */
  const char *const *layers; /* between the two: those of the snapshots that it
                                was made from, the uppermost first */
  size_t layer_count;
  bool range;      /* such a system has a range of users */
  bool is_root;    /* the server is root of the machine */
  const char *etc; /* folder with the files of accounts.h */
  const struct account *user;
  const sandbox_bind *binds;
  size_t bind_count;
  uint64_t open_files; /* how many descriptors a command may have */
  sandbox_hooks hooks;
  bool private_network;   /* none but its own loopback */
  const char *slirp;      /* the path of slirp4netns; NULL: no way out */
  bool sizes;             /* bubblewrap can limit the size of a tmpfs */
  const cgroups *cgroups; /* for a group by this name, with these limits */
  const char *id;
  cgroup_limits limits;
} sandbox_options;

/* Starts a sandbox; `ready` or `gone` follows. NULL if it cannot be started. */
sandbox *sandbox_start(const sandbox_options *options);

/* Sends an order: the members of a JSON object, without an id. `done` is called
 * once, later, and never after `gone`. Returns false, without a call, if the
 * sandbox is ending. */
bool sandbox_order(sandbox *s, const wrenn_buf *order, sandbox_done *done,
                   void *arg);

/* Takes the next descriptor from a reply; -1 if there is none. */
int sandbox_take_fd(const sandbox_reply *reply);

/* Ends the sandbox with everything in it; `gone` follows. */
void sandbox_stop(sandbox *s);

/* Frees it; only after `gone`. */
void sandbox_free(sandbox *s);

#endif
