#include "util/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each level needs a descriptor and some stack. Deeper directories are moved to
 * the top and removed there. */
#define MAX_LEVEL 64
#define MAX_ROUNDS 1000000

typedef struct removal {
  int top;        /* the outermost directory; -1 before it is open */
  unsigned moved; /* how many were moved there; part of their names */
  bool again;     /* something was moved */
  int error;      /* the first errno */
} removal;

static void note(removal *r) {
  if (!r->error)
    r->error = errno;
}

static bool move_up(removal *r, int parent, const char *name) {
  char to[32];
  do
    snprintf(to, sizeof(to), ".removed-%u", r->moved++);
  while (renameat(parent, name, r->top, to) &&
         (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) &&
         r->moved < MAX_ROUNDS);
  r->again = true;
  return faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

static int open_folder(int parent, const char *name) {
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(parent, name, flags);
  if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
    fd = openat(parent, name, flags);
  return fd;
}

static void remove_entry(removal *r, int parent, const char *name,
                         unsigned level);

/* Removes the contents of a directory. Takes ownership of the descriptor. */
/* NOLINTNEXTLINE(misc-no-recursion): MAX_LEVEL bounds it */
static void empty_folder(removal *r, int fd, unsigned level) {
  DIR *dir = fdopendir(fd);
  struct dirent *child;
  if (!dir) {
    note(r);
    close(fd);
    return;
  }
  fchmod(fd, 0700); /* so that its entries can be removed */
  while ((child = readdir(dir)))
    if (strcmp(child->d_name, ".") != 0 && strcmp(child->d_name, "..") != 0)
      remove_entry(r, fd, child->d_name, level + 1);
  closedir(dir);
}

/* NOLINTNEXTLINE(misc-no-recursion): MAX_LEVEL bounds it */
static void remove_entry(removal *r, int parent, const char *name,
                         unsigned level) {
  if (unlinkat(parent, name, 0) == 0 || (level > 0 && errno == ENOENT))
    return;
  if (errno != EISDIR && errno != EPERM) {
    note(r);
    return;
  }
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
    return;
  if (level == MAX_LEVEL) {
    if (!move_up(r, parent, name))
      note(r);
    return;
  }
  int fd = open_folder(parent, name);
  if (fd < 0) {
    note(r);
    return;
  }
  if (level == 0)
    r->top = fd;
  empty_folder(r, fd, level);
  if (unlinkat(parent, name, AT_REMOVEDIR) && !(level == 0 && r->again))
    note(r);
}

int tree_remove_at(int parent, const char *name) {
  removal r;
  unsigned rounds = 0;
  do { /* until nothing had to be moved */
    r = (removal){.top = -1};
    remove_entry(&r, parent, name, 0);
  } while (r.again && !r.error && ++rounds < MAX_ROUNDS);
  errno = r.error;
  return r.error ? -1 : 0;
}

int tree_remove(const char *path) { return tree_remove_at(AT_FDCWD, path); }
