/*
 * wrenn-agent under the name of launch: what bubblewrap cannot do, before it
 * starts. It makes a user namespace and puts up the capsule's own system there,
 * an overlay on a tree that many share. It runs on the host, with the rights of
 * the server.
 *
 *   launch one|range FOLDER TREE PLACE... -- PROGRAM ARGUMENT...
 *   launch remove PATH
 *   launch copy FROM TO
 *
 * In FOLDER are `upper`, which gets all changes, `work`, and `root`, where the
 * result appears. The places are where bubblewrap is going to mount something.
 * The other forms are for what belongs to the users of a range.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/range.h"
#include "util/copy.h"
#include "util/tree.h"

static int fail(const char *what) {
  fprintf(stderr, "wrenn-local: %s: %s\n", what, strerror(errno));
  return 1;
}

/* The server's user becomes root, and is nobody else. */
static bool enter_namespace(void) {
  char users[32], groups[32];
  snprintf(users, sizeof(users), "0 %u 1", geteuid());
  snprintf(groups, sizeof(groups), "0 %u 1", getegid());
  return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
         range_write("/proc/self/setgroups", "deny") &&
         range_write("/proc/self/uid_map", users) &&
         range_write("/proc/self/gid_map", groups);
}

/* The tree is named by its descriptor, as a path could contain what separates
 * options. */
static bool put_overlay(const char *tree) {
  char options[128];
  int fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  snprintf(options, sizeof(options),
           "userxattr,lowerdir=/proc/self/fd/%d,upperdir=upper,workdir=work",
           fd);
  bool ok =
      fd >= 0 && mount("overlay", "root", "overlay", MS_NODEV, options) == 0;
  int error = errno;
  if (fd >= 0)
    close(fd);
  errno = error;
  return ok;
}

/* Makes a folder of each step of a path. A link there, which a program in a
 * capsule has left, would lead bubblewrap astray. */
static bool make_place(const char *path) {
  char name[256];
  int fd = open("root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (fd >= 0 && *(path += strspn(path, "/"))) {
    struct stat info;
    size_t len = strcspn(path, "/");
    if (len >= sizeof(name))
      break;
    memcpy(name, path, len);
    name[len] = '\0';
    path += len;
    bool other = fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                 !S_ISDIR(info.st_mode);
    if ((other && unlinkat(fd, name, 0)) ||
        (mkdirat(fd, name, 0755) && errno != EEXIST))
      break;
    int next =
        openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    close(fd);
    fd = next;
  }
  int error = errno;
  if (fd >= 0)
    close(fd);
  errno = error;
  return fd >= 0 && *path == '\0';
}

/* Their status is an errno. */
static int remove_all(const char *path) {
  return tree_remove(path) == 0 ? 0 : errno;
}

static int copy_all(const char *from, const char *to) {
  atomic_bool stop = false;
  int64_t bytes = 0;
  if (copy_tree(from, to, NULL, &stop, &bytes))
    return errno;
  printf("%lld", (long long)bytes);
  return fflush(stdout) == 0 ? 0 : errno;
}

int agent_launch(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "remove"))
    return range_enter(0) ? remove_all(argv[2]) : EPERM;
  if (argc == 4 && !strcmp(argv[1], "copy"))
    return range_enter(0) ? copy_all(argv[2], argv[3]) : EPERM;
  if (argc < 6)
    return 2;
  const char *folder = argv[2], *tree = argv[3];
  char **word = argv + 4;
  if (chdir(folder))
    return fail(folder);
  if (!strcmp(argv[1], "range")) {
    if (!range_enter(CLONE_NEWNS))
      return 1;
  } else if (!enter_namespace()) {
    return fail("cannot create a user namespace");
  }
  if (!put_overlay(tree)) {
    fprintf(stderr,
            "wrenn-local: cannot put an overlay on %s: %s. It takes Linux 5.11"
            " or later, a tree that belongs to the server's user, and a data"
            " folder that is on no overlay itself\n",
            tree, strerror(errno));
    return 1;
  }
  for (; *word && strcmp(*word, "--") != 0; word++)
    if (!make_place(*word))
      return fail(*word);
  if (!*word || !word[1])
    return 2;
  execv(word[1], word + 1);
  return fail(word[1]);
}
