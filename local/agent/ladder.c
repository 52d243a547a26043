/*
 * The namespaces for sudo. A user namespace gives its maker all capabilities,
 * so that commands must not make any. The agent makes a few before the first
 * command, each inside the one before it, in which the same user of the host is
 * root, the default user, root and so on. A process of ours keeps them open,
 * and sudo enters the next that fits.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/agent.h"

#define STEPS 4
#define LINK "/run/sudo-users" /* leads to the keeper's descriptors */

static bool write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0)
    close(fd);
  return ok;
}

/* Enters a new namespace in which the present user has another number. */
static bool step(unsigned from, unsigned to) {
  char map[32];
  snprintf(map, sizeof(map), "%u %u 1", to, from);
  return unshare(CLONE_NEWUSER) == 0 &&
         write_text("/proc/self/setgroups", "deny") &&
         write_text("/proc/self/gid_map", map) &&
         write_text("/proc/self/uid_map", map);
}

/* Nothing of the agent may be in this process, which others can inspect. The
 * descriptor of step N is N. */
static _Noreturn void keep(unsigned user, int tell) {
  char path[64];
  int told = dup2(tell, STEPS + 1);
  for (int fd = 0; fd <= STEPS; fd++)
    close(fd);
  bool ok = agent_close_from(STEPS + 2) && told == STEPS + 1;
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  ok = ok && open("/dev/null", O_RDONLY) == 0;
  for (unsigned i = 0; ok && i < STEPS; i++)
    ok = step(i % 2 ? 0 : user, i % 2 ? user : 0) &&
         open("/proc/self/ns/user", O_RDONLY) == (int)i + 1;
  snprintf(path, sizeof(path), "/proc/%d/fd", (int)getpid());
  if (ok && agent_filter(false) && symlink(path, LINK) == 0 &&
      write(told, "", 1) == 1 && close(told) == 0)
    for (;;)
      pause();
  _exit(1);
}

void agent_make_ladder(void) {
  int told[2];
  char byte;
  if (pipe2(told, O_CLOEXEC))
    return;
  if (fork() == 0)
    keep(getuid(), told[1]);
  close(told[1]);
  if (read(told[0], &byte, 1) < 0)
    byte = 0; /* there are none: names change, and numbers do not */
  close(told[0]);
}

bool agent_climb(unsigned uid) {
  char path[64];
  for (unsigned i = 1; i <= STEPS; i++) {
    snprintf(path, sizeof(path), LINK "/%u", i);
    int fd = (i % 2 == 1) == (uid == 0) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    bool ok = fd >= 0 && setns(fd, CLONE_NEWUSER) == 0;
    if (fd >= 0)
      close(fd);
    if (ok)
      return true;
  }
  return false;
}
