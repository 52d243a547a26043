/*
 * How sudo becomes root where there is a range of users. No program here gains
 * rights when it is started (bubblewrap sees to that), so sudo cannot be what
 * it is elsewhere. But the owner of a user namespace has all rights in it. So
 * the agent makes some that belong to the default user and in which everybody
 * has the same number as outside: who enters can become anybody, as far as
 * files and processes are concerned, and nothing in them reaches the network's
 * or the mounts' namespace. They lie one inside the other, so that sudo works
 * in a sudo.
 */
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/keeper.h"
#include "agent/names.h"
#include "agent/range.h"

#define GROUPS_MAX 64

/* Copies the map of this namespace as one of numbers that stay the same. */
static bool repeat_map(const char *kind, pid_t of) {
  char from[64], to[64], text[256];
  unsigned first, outside, count;
  int len = 0;
  snprintf(from, sizeof(from), "/proc/self/%s_map", kind);
  snprintf(to, sizeof(to), "/proc/%d/%s_map", (int)of, kind);
  FILE *file = fopen(from, "re");
  /* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
  while (file && fscanf(file, "%u %u %u", &first, &outside, &count) == 3 &&
         len < (int)sizeof(text) - 48)
    len += snprintf(text + len, sizeof(text) - (size_t)len, "%u %u %u\n", first,
                    first, count);
  if (file)
    fclose(file);
  return len > 0 && range_write(to, text);
}

/* One more step, for a child that goes on from there: true in that only. */
static bool step(unsigned number, unsigned user) {
  (void)number;
  (void)user;
  int in[2], mapped[2];
  char byte = 0;
  if (pipe2(in, O_CLOEXEC) || pipe2(mapped, O_CLOEXEC))
    return false;
  pid_t child = fork();
  if (child == 0) {
    close(mapped[1]);
    return unshare(CLONE_NEWUSER) == 0 && write(in[1], &byte, 1) == 1 &&
           read(mapped[0], &byte, 1) == 1;
  }
  close(in[1]);
  bool ok = child > 0 && read(in[0], &byte, 1) == 1 &&
            repeat_map("uid", child) && repeat_map("gid", child) &&
            write(mapped[1], &byte, 1) == 1;
  _exit(ok ? 0 : 1);
}

/* The first step is made by root, who keeps the right to write maps as the
 * default user. */
static bool prepare(unsigned user) {
  return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setgroups(0, NULL) == 0 &&
         setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0 &&
         range_raise();
}

static const keeper stairs = {
    .link = "/run/sudo-stairs", .prepare = prepare, .step = step};

void agent_make_stairs(unsigned user) { keeper_start(&stairs, user); }

bool agent_has_stairs(void) {
  char path[8];
  return readlink(stairs.link, path, sizeof(path)) > 0;
}

bool agent_become(const struct passwd *user) {
  gid_t groups[GROUPS_MAX];
  char name[256];
  const uid_t uid = user->pw_uid;
  const gid_t gid = user->pw_gid;
  snprintf(name, sizeof(name), "%s", user->pw_name);
  if (getuid() == uid)
    return true;
  if (getuid() != 0 && !keeper_enter(&stairs, 1, 1))
    return false;
  size_t count = names_groups_of(name, gid, groups, GROUPS_MAX);
  return setgroups(count, groups) == 0 && setresgid(gid, gid, gid) == 0 &&
         setresuid(uid, uid, uid) == 0;
}
