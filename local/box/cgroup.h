/*
 * Control groups of the kernel: what holds a capsule to its memory and its
 * processors. There is a group for each capsule, below one of the server's own,
 * where the server may make groups: in a cgroup of version 2 that was delegated
 * to it, or, for root, in the hierarchies of version 1.
 */
#ifndef WRENN_LOCAL_BOX_CGROUP_H
#define WRENN_LOCAL_BOX_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "box/words.h"

/* A hierarchy, and what is enforced in it. */
typedef struct cgroup_tree {
  char path[PATH_MAX]; /* of the server's own group */
  int lock;            /* held on it while this server runs */
  bool unified;        /* version 2 */
  bool memory, cpu;
} cgroup_tree;

typedef struct cgroups {
  cgroup_tree trees[2];
  size_t count;
} cgroups;

typedef struct cgroup_limits {
  int64_t memory_mb, vcpus;
} cgroup_limits;

/* Makes the server's groups, as far as that is possible, and removes those of
 * servers that were killed. In a delegated cgroup it moves this process. */
void cgroups_open(cgroups *all);

/* Whether limits of memory, and of processors, are enforced. */
bool cgroups_memory(const cgroups *all);
bool cgroups_cpu(const cgroups *all);

/* Makes a capsule's group; false with errno if it cannot. */
bool cgroup_make(const cgroups *all, const char *id, cgroup_limits limits);

/* Appends the words by which the agent's launch enters it. */
void cgroup_put(words *w, const cgroups *all, const char *id);

/* Removes it, once its processes have ended. One that is still busy is removed
 * by cgroups_close. */
void cgroup_remove(const cgroups *all, const char *id);

void cgroups_close(cgroups *all);

#endif
