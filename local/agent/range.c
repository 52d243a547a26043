/*
 * A user namespace with many users: the server's becomes root, and a range that
 * the machine has set aside for it (/etc/subuid, /etc/subgid) the others. Only
 * root may write such a map; newuidmap and newgidmap do it for users. Where the
 * server is root of the machine, the first of the range becomes root instead.
 */
#include "agent/range.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/names.h"
#include "util/root.h"

#define MOST 65535U
/* For root without an entry: neither useradd nor systemd gives away numbers as
 * high as these. */
#define ROOTS_FIRST 0x70000000U

/* The range of this user in such a file; none is empty. */
static range find_range(const char *path) {
  const struct passwd *user = names_of_uid(geteuid());
  char line[256], number[16];
  range found = {0};
  FILE *file = fopen(path, "re");
  snprintf(number, sizeof(number), "%u", geteuid());
  while (file && !found.count && fgets(line, sizeof(line), file)) {
    char *first = strchr(line, ':');
    char *count = first ? strchr(first + 1, ':') : NULL;
    if (!count)
      continue;
    *first = '\0';
    if (strcmp(line, number) != 0 && !(user && !strcmp(line, user->pw_name)))
      continue;
    found.first = (unsigned)strtoul(first + 1, NULL, 10);
    found.count = (unsigned)strtoul(count + 1, NULL, 10);
  }
  if (file)
    fclose(file);
  const unsigned most = root_is_real() ? MOST + 1 : MOST;
  if (!found.count && geteuid() == 0)
    found = (range){ROOTS_FIRST, most};
  if (found.count > most)
    found.count = most;
  return found;
}

bool range_write(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0)
    close(fd);
  return ok;
}

static bool run_mapper(const char *program, const char *pid, unsigned own,
                       range r) {
  char inside[16], first[16], count[16];
  int status = -1;
  snprintf(inside, sizeof(inside), "%u", own);
  snprintf(first, sizeof(first), "%u", r.first);
  snprintf(count, sizeof(count), "%u", r.count);
  pid_t child = fork();
  if (child == 0) {
    execlp(program, program, pid, "0", inside, "1", "1", first, count,
           (char *)NULL);
    fprintf(stderr, "wrenn-local: cannot run %s: %s. Install uidmap\n", program,
            strerror(errno));
    _exit(127);
  }
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* What root writes, who is somebody else in there. */
static bool write_map(pid_t pid, const char *kind, range_kind who, range r) {
  char path[64], text[64];
  snprintf(path, sizeof(path), "/proc/%d/%s_map", (int)pid, kind);
  if (who == RANGE_ALL)
    r = (range){0, UINT_MAX};
  snprintf(text, sizeof(text), "0 %u %u\n", r.first,
           who == RANGE_ONE ? 1 : r.count);
  return range_write(path, text);
}

static bool map(pid_t pid, range_kind who, range users, range groups) {
  char number[16];
  if (root_is_real())
    return write_map(pid, "uid", who, users) &&
           write_map(pid, "gid", who, groups);
  snprintf(number, sizeof(number), "%d", (int)pid);
  return run_mapper("newuidmap", number, getuid(), users) &&
         run_mapper("newgidmap", number, getgid(), groups);
}

/* The server's user becomes root, and is nobody else. */
static bool enter_alone(void) {
  char users[32], groups[32];
  snprintf(users, sizeof(users), "0 %u 1", geteuid());
  snprintf(groups, sizeof(groups), "0 %u 1", getegid());
  if (unshare(CLONE_NEWUSER) == 0 &&
      range_write("/proc/self/setgroups", "deny") &&
      range_write("/proc/self/uid_map", users) &&
      range_write("/proc/self/gid_map", groups))
    return true;
  fprintf(stderr, "wrenn-local: cannot create a user namespace: %s\n",
          strerror(errno));
  return false;
}

bool range_of_root(range *users, range *groups) {
  *users = find_range("/etc/subuid");
  *groups = find_range("/etc/subgid");
  return users->first != 0 && groups->first != 0;
}

/* The map is written from outside, by a child that stays there. */
bool range_enter(range_kind kind, range_outside *outside, void *arg) {
  const range users = find_range("/etc/subuid"),
              groups = find_range("/etc/subgid");
  const pid_t self = getpid();
  int go[2], status = -1;
  char byte = 0;
  if (kind == RANGE_ONE && !root_is_real())
    return enter_alone();
  if (!users.count || !groups.count) {
    fprintf(stderr,
            "wrenn-local: no users are set aside for uid %u. Do so with:"
            " usermod --add-subuids 100000-165535 --add-subgids 100000-165535"
            " NAME\n",
            geteuid());
    return false;
  }
  if (pipe2(go, O_CLOEXEC))
    return false;
  pid_t child = fork();
  if (child == 0) {
    close(go[1]);
    _exit(read(go[0], &byte, 1) == 1 && map(self, kind, users, groups) &&
                  (!outside || outside(self, arg))
              ? 0
              : 1);
  }
  close(go[0]);
  bool ok =
      child > 0 && unshare(CLONE_NEWUSER) == 0 && write(go[1], &byte, 1) == 1;
  int error = errno;
  close(go[1]);
  if (child > 0 && waitpid(child, &status, 0) != child)
    status = -1;
  if (ok && status == 0)
    return setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0;
  fprintf(stderr, "wrenn-local: there can be no user namespace: %s\n",
          ok ? "its users cannot be mapped" : strerror(error));
  return false;
}

bool range_raise(void) {
  struct __user_cap_header_struct head = {.version =
                                              _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capget, &head, sets))
    return false;
  for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
    sets[i].effective = sets[i].permitted;
  return syscall(SYS_capset, &head, sets) == 0;
}
