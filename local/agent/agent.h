/*
 * wrenn-agent: our only process inside a capsule. It starts processes, opens
 * files and stops everything for a pause, as wrenn-local orders, and passes
 * back what it opens as descriptors. As it runs inside, it only sees what the
 * capsule sees: no path can lead out.
 */
#ifndef WRENN_LOCAL_AGENT_AGENT_H
#define WRENN_LOCAL_AGENT_AGENT_H

#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "buf.h"
#include "json.h"

/* Orders that may take long are executed by children of the agent. */
#define AGENT_WORKERS 64

typedef struct agent {
  int channel;
  const char *home;    /* what `~` and relative paths mean */
  const char *top;     /* the capsule's folder, as seen from in here */
  unsigned uid;        /* of commands, and of the files that are written */
  bool alone;          /* pid 1 of a pid namespace of its own */
  bool shares_network; /* with the host */
  uint64_t open_files; /* how many descriptors a command may have; 0: as is */
  pid_t
      *asleep; /* while paused: processes that were stopped before the pause */
  size_t asleep_count;
  pid_t *commands; /* that have not ended */
  size_t command_count, command_cap;
  long latest; /* the pid that was given away last, as agent_curb has seen it */
  int pids_file;        /* where it reads that; 0: not yet open */
  bool crowded;         /* it has found too many that run */
  int64_t curbed;       /* it has ended as many, which has not been told */
  struct rusage reaped; /* the usage of children that have ended */
  struct {
    pid_t pid;  /* 0: free */
    int64_t id; /* of the order */
  } workers[AGENT_WORKERS];
} agent;

/* The result of an order. `error` NULL means success; other errors are
 * constants, with a text in `detail`. */
typedef struct agent_reply {
  const char *error; /* "not_found", "exists", "invalid", "failed", "full" */
  wrenn_buf detail;  /* a message; or JSON members to add, on success */
  int fds[3];
  int fd_count;
} agent_reply;

/* order.c: sets a failure with a formatted message. */
void agent_fail(agent_reply *reply, const char *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets "failed" with what could not be done and the text of errno. */
void agent_fail_errno(agent_reply *reply, const char *what);

/* Returns a member of an order as an allocated, NUL-terminated string; NULL if
 * it is absent, not a string, or contains a NUL. Free it. */
char *agent_string(const wrenn_json *order, const char *name);

/* Resolves a path of the API: `~` and relative paths are below home, and all
 * links of a relative path are followed if it exists. NULL with a failure set
 * if it is malformed. Free it. */
char *agent_path(const agent *a, const wrenn_json *order, const char *name,
                 agent_reply *reply);

/* spawn.c; returns the pid, or -1 if it has failed. */
pid_t agent_spawn(const agent *self, const wrenn_json *order,
                  agent_reply *reply);

/* terminal.c: starts a command on a terminal, as its foreground process
 * group; `become` turns the new process into the command and does not return.
 * Returns the pid, or -1 with errno. */
pid_t agent_start_on_terminal(int master, int terminal,
                              void (*become)(const void *), const void *arg);

/* sudo.c: the program under the name of sudo. */
int agent_sudo(int argc, char **argv);

/* launch.c: the program under the name of launch, on the host. */
int agent_launch(int argc, char **argv);

/* settle.c: makes a system of a capsule's own fit for it: the folders
 * that the API speaks of, the default user, names of hosts, sudo. With a range
 * of users the home belongs to its user. */
void agent_settle(const char *user, bool range);

/* ladder.c: makes the namespaces in which sudo changes the user's number.
 * Enters the next one with a uid, that of root or of the default user; false if
 * there is none. */
void agent_make_ladder(void);
bool agent_climb(unsigned uid);

/* stairs.c: the same with a range of users, where sudo becomes root.
 * Whether there is one; and becoming a user, as far as that is possible. */
void agent_make_stairs(unsigned user);
bool agent_has_stairs(void);
bool agent_become(const struct passwd *user);

/* filter.c: denies this process, and all that it starts, what leads out
 * of a capsule. False if the kernel cannot. If it is to pretend, giving a file
 * to somebody else succeeds and does nothing. */
bool agent_filter(bool pretend);

/* files.c */
void agent_open_read(const agent *a, const wrenn_json *order,
                     agent_reply *reply);
void agent_open_write(const agent *a, const wrenn_json *order,
                      agent_reply *reply);
void agent_mkdir(const agent *a, const wrenn_json *order, agent_reply *reply);
void agent_remove(const agent *a, const wrenn_json *order, agent_reply *reply);

/* dial.c: connects to a port in the capsule, or to a socket file. */
void agent_dial(const agent *a, const wrenn_json *order, agent_reply *reply);

/* listeners.c: whether what would answer a connection to the loopback
 * address of a family is a process below this one. */
bool agent_owns_port(int family, uint16_t port);

/* list.c; the other adds what is at a path as the member "entry". */
void agent_list(const agent *a, const wrenn_json *order, agent_reply *reply);
void agent_put_entry(const char *path, agent_reply *reply);

/* processes.c: all processes below this one. */
void agent_pause(agent *a);
void agent_resume(agent *a);
void agent_usage(const agent *a, agent_reply *reply);

/* Ends those that run if too many of them do and start others, and did so when
 * it was called before. Returns whether none has started since then. */
bool agent_curb(agent *a);
void agent_kill_all(const agent *a);

/* close.c: closes all descriptors from this one on. */
bool agent_close_from(int first);

#endif
