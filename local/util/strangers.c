#include "util/strangers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/tree.h"

#define LOOK_MS 100

/* Starts the agent, which writes to `out` unless that is -1. */
static pid_t start(const char *agent, const char *verb, const char *first,
                   const char *second, int out) {
  pid_t child = fork();
  if (child != 0)
    return child;
  int fd = out < 0 ? open("/dev/null", O_WRONLY) : out;
  if (dup2(fd, STDOUT_FILENO) == STDOUT_FILENO)
    execl(agent, "launch", verb, first, second, (char *)NULL);
  _exit(127);
}

/* 0, or -1 with the errno that it has ended with. */
static int finish(pid_t child) {
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  if (status == 0)
    return 0;
  errno = WIFEXITED(status) ? WEXITSTATUS(status) : ECANCELED;
  return -1;
}

int strangers_remove(const char *path, const char *agent) {
  int rc = tree_remove(path);
  if (rc == 0 || !agent || (errno != EACCES && errno != EPERM))
    return rc;
  pid_t child = start(agent, "remove", path, NULL, -1);
  return child < 0 ? -1 : finish(child);
}

int strangers_copy(const char *from, const char *to, bool over,
                   const char *agent, const atomic_bool *stop, int64_t *bytes) {
  char text[32] = "";
  int ends[2];
  size_t len = 0;
  ssize_t some = -1;
  if (pipe2(ends, O_CLOEXEC))
    return -1;
  pid_t child = start(agent, over ? "copy-over" : "copy", from, to, ends[1]);
  close(ends[1]);
  struct pollfd look = {.fd = ends[0], .events = POLLIN};
  while (child > 0 && some != 0 && len < sizeof(text) - 1) {
    if (atomic_load(stop))
      kill(child, SIGKILL);
    if (poll(&look, 1, LOOK_MS) <= 0)
      continue;
    some = read(ends[0], text + len, sizeof(text) - 1 - len);
    if (some < 0)
      break;
    len += (size_t)some;
  }
  close(ends[0]);
  if (child < 0 || finish(child))
    return -1;
  *bytes += strtoll(text, NULL, 10);
  return 0;
}
