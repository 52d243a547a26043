/*
 * wrenn-agent: the one process of ours inside a capsule. It starts processes,
 * opens files and stops everything for a pause, on orders from wrenn-local;
 * what it opens it hands over as descriptors. Being inside, it sees what the
 * capsule sees, and nothing else: no path can lead it out.
 */
#ifndef WRENN_LOCAL_AGENT_AGENT_H
#define WRENN_LOCAL_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "buf.h"
#include "json.h"

/* Orders that may take long are run by children of the agent's. */
#define AGENT_WORKERS 64

typedef struct agent {
  int channel;
  const char *home;    /* what `~` and relative paths mean */
  const char *top;     /* the capsule's folder, as seen from in here */
  bool alone;          /* pid 1 of a pid namespace of its own */
  uint64_t open_files; /* how many descriptors a command may have; 0: as is */
  pid_t *asleep;       /* while paused: what had been stopped before */
  size_t asleep_count;
  struct rusage reaped; /* what children that have ended had used */
  struct {
    pid_t pid;  /* 0: free */
    int64_t id; /* of the order */
  } workers[AGENT_WORKERS];
} agent;

/* What an order came to. `error` NULL: success; the rest are constants or
 * text in `detail`. */
typedef struct agent_reply {
  const char *error; /* "not_found", "exists", "invalid", "failed", "full" */
  wrenn_buf detail;  /* a message; or JSON members to add, on success */
  int fds[3];
  int fd_count;
} agent_reply;

/* Sets a failure with a formatted message. */
void agent_fail(agent_reply *reply, const char *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets "failed" with what could not be done and the reason that errno gives. */
void agent_fail_errno(agent_reply *reply, const char *what);

/* A member of an order as an allocated, NUL-terminated string; NULL when it
 * is absent, no string, or holds a NUL. Free it. */
char *agent_string(const wrenn_json *order, const char *name);

/* A path as the capsule's user means it: `~` and relative ones lie below
 * home, and all links of a relative one have been followed, if it exists.
 * NULL with a failure set when it is malformed. Free it. */
char *agent_path(const agent *a, const wrenn_json *order, const char *name,
                 agent_reply *reply);

/* agent_spawn.c */
void agent_spawn(const agent *a, const wrenn_json *order, agent_reply *reply);

/* agent_terminal.c: starts a command on a terminal, as the leader of its
 * foreground; `become` turns the new process into it, and does not return.
 * Returns its pid, or -1 with errno. */
pid_t agent_start_on_terminal(int master, int terminal,
                              void (*become)(const void *), const void *arg);

/* agent_sudo.c: what the agent does by that name. */
int agent_sudo(int argc, char **argv);

/* agent_files.c */
void agent_open_read(const agent *a, const wrenn_json *order,
                     agent_reply *reply);
void agent_open_write(const agent *a, const wrenn_json *order,
                      agent_reply *reply);
void agent_mkdir(const agent *a, const wrenn_json *order, agent_reply *reply);
void agent_remove(const agent *a, const wrenn_json *order, agent_reply *reply);

/* agent_dial.c: connects to a port in here, or to a socket file. */
void agent_dial(const agent *a, const wrenn_json *order, agent_reply *reply);

/* agent_list.c; the other adds what is at a path as the member "entry". */
void agent_list(const agent *a, const wrenn_json *order, agent_reply *reply);
void agent_put_entry(const char *path, agent_reply *reply);

/* agent_processes.c: every process below this one. */
void agent_pause(agent *a);
void agent_resume(agent *a);
void agent_usage(const agent *a, agent_reply *reply);
void agent_kill_all(const agent *a);

#endif
