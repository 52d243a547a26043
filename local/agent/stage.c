#include "agent/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/root.h"

#define MAX_LEVEL 500

/* Whom servers of root made the users of a range before root was among them:
 * who has the number N inside was N - 1 after this one. */
#define BEFORE_FIRST 524288U
#define BEFORE_COUNT 65535U

typedef struct heirs {
  range users, groups;
} heirs;

/* Who has now what was somebody's. */
static unsigned heir_of(unsigned id, const range *to) {
  const bool apart = to->first >= BEFORE_FIRST + BEFORE_COUNT ||
                     to->first + to->count <= BEFORE_FIRST;
  if (id == 0)
    return to->first;
  if (!apart || id < BEFORE_FIRST || id - BEFORE_FIRST >= BEFORE_COUNT)
    return id;
  const unsigned inside = id - BEFORE_FIRST + 1;
  return inside < to->count ? to->first + inside : to->first;
}

/* Gives one thing to its heirs. A change of the owner takes the bits away that
 * make programs run as the owner. */
static bool give_one(int above, const char *name, const heirs *to) {
  char path[64];
  struct stat info;
  int fd = openat(above, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  bool ok = fd >= 0 ? fstat(fd, &info) == 0 : errno == ENOENT;
  if (fd < 0 || !ok)
    return ok;
  const uid_t user = heir_of(info.st_uid, &to->users);
  gid_t group = heir_of(info.st_gid, &to->groups);
  if (group == info.st_gid && info.st_uid == 0)
    group = to->groups.first;
  if (user != info.st_uid || group != info.st_gid) {
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ok = fchownat(fd, "", user, group, AT_EMPTY_PATH) == 0 &&
         (!S_ISREG(info.st_mode) || !(info.st_mode & (S_ISUID | S_ISGID)) ||
          chmod(path, info.st_mode & 07777) == 0);
  }
  close(fd);
  return ok;
}

/* Gives what is root's, or was that of its users, to the heirs, the outermost
 * last, so that what was cut off is done again. Another capsule may be at work
 * in there: no link is followed. */
/* NOLINTNEXTLINE(misc-no-recursion): MAX_LEVEL bounds it */
static bool give(int above, const char *name, const heirs *to, unsigned level) {
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  struct dirent *child;
  int fd = openat(above, name, flags);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  bool ok = level < MAX_LEVEL &&
            (dir || (fd < 0 &&
                     (errno == ENOTDIR || errno == ELOOP || errno == ENOENT)));
  if (fd >= 0 && !dir)
    close(fd);
  while (ok && dir && (child = readdir(dir)))
    if (strcmp(child->d_name, ".") != 0 && strcmp(child->d_name, "..") != 0)
      ok = give(dirfd(dir), child->d_name, to, level + 1);
  if (dir)
    closedir(dir);
  return ok && give_one(above, name, to);
}

static bool inherit(const char *path) {
  heirs to = {0};
  struct stat info;
  if (stat(path, &info))
    return false;
  return info.st_uid != 0 ||
         (range_of_root(&to.users, &to.groups) && give(AT_FDCWD, path, &to, 0));
}

static bool make_place(const char *path, const char *place) {
  struct stat info;
  if (stat(path, &info))
    return false;
  if (S_ISDIR(info.st_mode))
    return mkdir(place, 0755) == 0;
  int fd = open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  return fd >= 0 && close(fd) == 0;
}

static bool put_stage(unsigned long flags) {
  return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
         mount("stage", ROOT_STAGE, "tmpfs", MS_NOSUID | flags,
               "mode=755,size=65536") == 0;
}

/* Without the right to mount (as in many containers) root still has it in a
 * user namespace of everybody. */
static bool begin(void) {
  return (unshare(CLONE_NEWNS) == 0 ||
          (range_enter(RANGE_ALL, NULL, NULL) && unshare(CLONE_NEWNS) == 0)) &&
         put_stage(MS_NODEV);
}

bool stage_lend(const char *device) {
  static const char own[] = ROOT_STAGE "/device";
  struct stat info;
  if (stat(device, &info))
    return false;
  return (info.st_mode & S_IROTH && info.st_mode & S_IWOTH) ||
         (unshare(CLONE_NEWNS) == 0 && put_stage(MS_NOEXEC) &&
          mknod(own, (info.st_mode & S_IFMT) | 0666, info.st_rdev) == 0 &&
          chmod(own, 0666) == 0 &&
          mount(own, device, NULL, MS_BIND, NULL) == 0);
}

static bool put_tree(pid_t inside, void *arg) {
  char **word = arg;
  if (!word || stage_put_tree(word[0], word[1], inside))
    return true;
  fprintf(stderr,
          "wrenn-local: %s cannot be given other owners: %s. For root it takes"
          " Linux 5.19 or later, the right to mount, and a file system with"
          " idmapped mounts\n",
          word[0], strerror(errno));
  return false;
}

char **stage_enter(char **words, range_kind kind) {
  char **word = words, **tree = NULL;
  bool ok = begin() && setgroups(0, NULL) == 0;
  for (; ok && word[0] && word[1] && word[2]; word += 3) {
    const bool own = !strcmp(word[0], "own");
    if (!strcmp(word[0], "tree"))
      tree = word + 1;
    else if (!own && strcmp(word[0], "show") != 0)
      break;
    ok = (!own || inherit(word[1])) && make_place(word[1], word[2]) &&
         (tree == word + 1 ||
          mount(word[1], word[2], NULL, MS_BIND | MS_REC, NULL) == 0);
  }
  if (ok)
    return range_enter(kind, put_tree, tree) ? word : NULL;
  fprintf(stderr, "wrenn-local: what a capsule needs cannot be mounted: %s\n",
          strerror(errno));
  return NULL;
}
