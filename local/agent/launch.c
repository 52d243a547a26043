/*
 * wrenn-agent under the name of launch: what bubblewrap cannot do, before it
 * starts. It makes a user namespace and puts up the capsule's own system there,
 * an overlay on a tree that many share. It runs on the host, with the rights of
 * the server. Those of root it gives up first (stage.h).
 *
 *   launch none|one|range [in PROCS]... [STAGED...]
 *     [over FOLDER TREE... at PLACE...] -- PROGRAM ...
 *   launch join DESCRIPTOR DEVICE PROGRAM ...
 *   launch remove PATH
 *   launch copy|copy-over FROM TO
 *
 * With none there is no user namespace. Each PROCS is the file of a control
 * group that the program is to be in. In FOLDER are `upper`, which gets all
 * changes, `work`, and `root`, where the result appears. Of several trees the
 * first is the uppermost. The places are where bubblewrap is going to mount
 * something. With `join` it makes no namespace, but enters that of the
 * descriptor, of a capsule, so that the program has no more rights than the
 * capsule's root. The other forms are for what belongs to the users of a range.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/range.h"
#include "agent/stage.h"
#include "util/copy.h"
#include "util/root.h"
#include "util/tree.h"

static int fail(const char *what) {
  fprintf(stderr, "wrenn-local: %s: %s\n", what, strerror(errno));
  return 1;
}

/* The trees are named by their descriptors, which are closed when the program
 * starts: a path could contain what separates options, and all options together
 * have to fit into 4096 bytes. */
static bool put_overlay(char **trees, size_t count) {
  char options[4096];
  size_t len =
      (size_t)snprintf(options, sizeof(options),
                       "userxattr,upperdir=upper,workdir=work,lowerdir=");
  for (size_t i = 0; i < count; i++) {
    int fd = open(trees[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
      return false;
    len += (size_t)snprintf(options + len, sizeof(options) - len,
                            "%s/proc/self/fd/%d", i > 0 ? ":" : "", fd);
    if (len >= sizeof(options)) {
      errno = ENAMETOOLONG;
      return false;
    }
  }
  return mount("overlay", "root", "overlay", MS_NODEV, options) == 0;
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

static int copy_all(const char *from, const char *to, bool over) {
  atomic_bool stop = false;
  int64_t bytes = 0;
  if (over ? copy_over(from, to, &stop, &bytes)
           : copy_tree(from, to, NULL, &stop, &bytes))
    return errno;
  printf("%lld", (long long)bytes);
  return fflush(stdout) == 0 ? 0 : errno;
}

/* Root may handle them as it is. */
static bool enter_for_files(void) {
  return root_is_real() || range_enter(RANGE_MANY, NULL, NULL);
}

/* Returns the first word after those that concern it; NULL if it fails. */
static char **put_system(char **word) {
  const char *folder = *word;
  char **trees = folder ? ++word : word;
  while (*word && strcmp(*word, "at") != 0)
    word++;
  if (!*word || word == trees)
    return NULL;
  if (chdir(folder)) {
    fail(folder);
    return NULL;
  }
  if (unshare(CLONE_NEWNS)) {
    fail("cannot create a mount namespace");
    return NULL;
  }
  if (!put_overlay(trees, (size_t)(word - trees))) {
    fprintf(stderr,
            "wrenn-local: cannot put an overlay on %s: %s. It takes Linux 5.11"
            " or later, a tree that belongs to the server's user, and a data"
            " folder that is on no overlay itself\n",
            word[-1], strerror(errno));
    return NULL;
  }
  for (word++; *word && strcmp(*word, "--") != 0; word++)
    if (!make_place(*word)) {
      fail(*word);
      return NULL;
    }
  return word;
}

/* Becomes root of the user namespace of this descriptor, and has no rights but
 * its. The device remains open to it, and the program, which may be where only
 * the server's user gets to. */
static int join(int users, const char *device, char **program) {
  int fd = open(program[0], O_PATH | O_CLOEXEC);
  if (fd < 0)
    return fail(program[0]);
  if ((root_is_real() && (!stage_lend(device) || setgroups(0, NULL))) ||
      setns(users, CLONE_NEWUSER) || setresgid(0, 0, 0) || setresuid(0, 0, 0) ||
      close(users))
    return fail("cannot enter a user namespace");
  execv(program[0], program);
  fexecve(fd, program, environ);
  return fail(program[0]);
}

static int run(char **word) {
  if (!*word || strcmp(*word, "--") != 0 || !word[1])
    return 2;
  execv(word[1], word + 1);
  return fail(word[1]);
}

/* Enters a control group: what is started from now on is in it. */
static bool join_group(const char *procs) {
  int fd = open(procs, O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, "0", 1) == 1;
  if (!ok)
    fail(procs);
  if (fd >= 0)
    close(fd);
  return ok;
}

/* Returns the first word after those that concern the namespaces; NULL if they
 * cannot be made. */
static char **enter(const char *kind, char **word) {
  const range_kind users = strcmp(kind, "range") ? RANGE_ONE : RANGE_MANY;
  if (!strcmp(kind, "none"))
    return word;
  if (root_is_real())
    return stage_enter(word, users);
  return range_enter(users, NULL, NULL) ? word : NULL;
}

int agent_launch(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "remove"))
    return enter_for_files() ? remove_all(argv[2]) : EPERM;
  const bool over = argc == 4 && !strcmp(argv[1], "copy-over");
  if (over || (argc == 4 && !strcmp(argv[1], "copy")))
    return enter_for_files() ? copy_all(argv[2], argv[3], over) : EPERM;
  if (argc >= 5 && !strcmp(argv[1], "join"))
    return join((int)strtol(argv[2], NULL, 10), argv[3], argv + 4);
  if (argc < 4)
    return 2;
  char **word = argv + 2;
  for (; *word && !strcmp(*word, "in") && word[1]; word += 2)
    if (!join_group(word[1]))
      return 1;
  word = enter(argv[1], word);
  if (!word)
    return 1;
  if (*word && !strcmp(*word, "over") && !(word = put_system(word + 1)))
    return 1;
  return run(word);
}
