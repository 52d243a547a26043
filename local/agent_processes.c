#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define MAX_TREE 65536

/* Appends the children of a process to the list, which it may outgrow. */
static size_t add_children(pid_t parent, pid_t *list, size_t count) {
  char path[64];
  int pid;
  snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent,
           (int)parent);
  FILE *file = fopen(path, "re");
  if (!file)
    return count;
  /* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
  while (count < MAX_TREE && fscanf(file, "%d", &pid) == 1)
    list[count++] = pid;
  fclose(file);
  return count;
}

/* Signals every process below this one; returns how many there were. */
static size_t signal_tree(int signal) {
  size_t count, seen = 0;
  pid_t *list = malloc(MAX_TREE * sizeof(*list));
  if (!list)
    return 0;
  count = add_children(getpid(), list, 0);
  while (seen < count) {
    kill(list[seen], signal);
    count = add_children(list[seen], list, count);
    seen++;
  }
  free(list);
  return count;
}

void agent_signal_all(const agent *a, int signal) {
  if (a->alone)
    kill(-1, signal); /* all of the namespace but pid 1 itself */
  else
    signal_tree(signal);
}

/* In a namespace of its own the kernel does it, when pid 1 ends. Else: until
 * none is left, as a process may fork while the tree is being read. */
void agent_kill_all(const agent *a) {
  if (a->alone)
    return;
  while (signal_tree(SIGKILL) > 0)
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
      if (signal_tree(SIGKILL) == 0)
        break;
}
