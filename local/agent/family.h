/* The processes below one, as /proc shows them. */
#ifndef WRENN_LOCAL_AGENT_FAMILY_H
#define WRENN_LOCAL_AGENT_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct relative {
  pid_t pid, parent, group;
  char state; /* as in /proc/PID/stat */
  bool below;
  unsigned long long ticks; /* of CPU time */
  long long pages;          /* of resident memory */
} relative;

typedef struct family {
  relative *list;
  size_t count, cap;
} family;

/* Lists all descendants of a process, parents before their children. Zombies
 * are among them: other threads of one may go on. Free the list. */
family family_read(pid_t self);

/* Reads one process's own entry; false if it has ended. */
bool family_read_one(pid_t pid, relative *r);

#endif
