#include "util/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "buf.h"
#include "util/tree.h"

/* An overlay's mark for a folder that hides what is below. */
#define OPAQUE "user.overlay.opaque"

/* Each level needs two descriptors and some stack. */
#define MAX_LEVEL 500
#define PIECE ((size_t)256 * 1024)
#define LINK_BUCKETS 1024

/* A file with several hard links, copied under one of its names. */
typedef struct known {
  struct known *next;
  dev_t device;
  ino_t inode;
  char path[];
} known;

typedef struct copier {
  int top;   /* the copy's */
  bool over; /* there is something already, of a lower layer */
  copy_skips *skips;
  const atomic_bool *stop;
  int64_t bytes;
  wrenn_buf path; /* of the entry at hand, NUL-terminated */
  known *links[LINK_BUCKETS];
  char *piece; /* for file systems that cannot copy by themselves, and more */
} copier;

/* An entry being copied: its source and its target. */
typedef struct entry {
  int from, to; /* the folders */
  const char *name;
  struct stat info;
} entry;

static bool stopped(const copier *k) {
  if (!atomic_load(k->stop))
    return false;
  errno = ECANCELED;
  return true;
}

/* Folders without permissions for their owner are unlocked for the copy. */
static int open_source(const entry *e, int flags, mode_t needed) {
  flags |= O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  int fd = openat(e->from, e->name, flags);
  if (fd < 0 && errno == EACCES &&
      fchmodat(e->from, e->name, (e->info.st_mode & 07777) | needed, 0) == 0)
    fd = openat(e->from, e->name, flags);
  return fd;
}

static bool make_piece(copier *k) {
  return k->piece || (k->piece = malloc(PIECE));
}

static void relock(const entry *e, int fd) {
  struct stat now;
  if (fstat(fd, &now) == 0 && now.st_mode != e->info.st_mode)
    fchmod(fd, e->info.st_mode & 07777);
}

/* ---- extended attributes ------------------------------------------------- */

/* Only those of users: others need rights, or are about the file system. Where
 * an overlay had found a file before it was changed does not matter in a copy,
 * but that a folder hides what is below does. */
static bool is_copied(const char *name) {
  return strncmp(name, "user.", 5) == 0 &&
         strcmp(name, "user.overlay.origin") != 0;
}

/* The value is in the copier's piece of memory. */
static int copy_attribute(copier *k, int from, int to, const char *name) {
  ssize_t len = fgetxattr(from, name, k->piece, PIECE);
  if (len < 0)
    return errno == ENODATA ? 0 : -1;
  return fsetxattr(to, name, k->piece, (size_t)len, 0);
}

static int copy_attributes(copier *k, int from, int to) {
  ssize_t size = flistxattr(from, NULL, 0);
  if (size <= 0)
    return size == 0 || errno == ENOTSUP ? 0 : -1;
  char *names = malloc((size_t)size + 1);
  int rc = names && make_piece(k) ? 0 : -1;
  if (rc == 0)
    size = flistxattr(from, names, (size_t)size);
  if (size < 0)
    rc = -1;
  for (ssize_t at = 0; rc == 0 && at < size;
       at += (ssize_t)strlen(names + at) + 1)
    if (is_copied(names + at))
      rc = copy_attribute(k, from, to, names + at);
  int error = errno;
  free(names);
  errno = error;
  return rc;
}

/* A folder that gets the attributes of a higher layer's keeps none of its own,
 * except that it may hide what is below. */
static int drop_attributes(copier *k, int fd) {
  ssize_t size = make_piece(k) ? flistxattr(fd, k->piece, PIECE) : -1;
  if (size < 0)
    return errno == ENOTSUP ? 0 : -1;
  for (const char *name = k->piece; name < k->piece + size;
       name += strlen(name) + 1)
    if (is_copied(name) && strcmp(name, OPAQUE) != 0 && fremovexattr(fd, name))
      return -1;
  return 0;
}

/* Sets modes at the end: otherwise the copy could not be written. */
static int finish(copier *k, const entry *e, int from, int fd) {
  const struct timespec times[2] = {e->info.st_atim, e->info.st_mtim};
  if (copy_attributes(k, from, fd))
    return -1;
  if (e->info.st_uid != geteuid() || e->info.st_gid != getegid()) {
    int rc = fchown(fd, e->info.st_uid, e->info.st_gid);
    (void)rc; /* only root may, and others have no files of other owners */
  }
  if (fchmod(fd, e->info.st_mode & 07777))
    return -1;
  return futimens(fd, times);
}

/* ---- files --------------------------------------------------------------- */

static ssize_t copy_piece(copier *k, int in, int out, off_t at, size_t len) {
  loff_t from = at, to = at;
  ssize_t done = copy_file_range(in, &from, out, &to, len, 0);
  if (done >= 0 || errno == ENOSPC || errno == EDQUOT || errno == EIO)
    return done;
  if (!make_piece(k))
    return -1;
  done = pread(in, k->piece, len, at);
  for (ssize_t put = 0; put < done;) {
    ssize_t some = pwrite(out, k->piece + put, (size_t)(done - put), at + put);
    if (some < 0)
      return -1;
    put += some;
  }
  return done;
}

static int copy_range(copier *k, int in, int out, off_t at, off_t end) {
  while (at < end) {
    size_t left = (size_t)(end - at);
    if (stopped(k))
      return -1;
    ssize_t done = copy_piece(k, in, out, at, left < PIECE ? left : PIECE);
    if (done < 0)
      return -1;
    if (done == 0)
      return 0; /* it has become shorter */
    at += done;
  }
  return 0;
}

static int copy_data(copier *k, int in, int out, off_t size) {
  if (size == 0 || ioctl(out, FICLONE, in) == 0)
    return 0;
  for (off_t at = 0; at < size;) {
    off_t data = lseek(in, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO)
      break; /* only a hole is left */
    if (data < 0)
      data = at; /* a file system without holes */
    off_t hole = lseek(in, data, SEEK_HOLE);
    if (hole <= data || hole > size)
      hole = size;
    if (copy_range(k, in, out, data, hole))
      return -1;
    at = hole;
  }
  return ftruncate(out, size);
}

static known **bucket_of(copier *k, const struct stat *info) {
  return &k->links[info->st_ino % LINK_BUCKETS];
}

static const known *find_link(copier *k, const struct stat *info) {
  const known *one = *bucket_of(k, info);
  while (one && (one->inode != info->st_ino || one->device != info->st_dev))
    one = one->next;
  return one;
}

/* If memory is out, the file is copied once more. */
static void remember_link(copier *k, const struct stat *info) {
  known *one = malloc(sizeof(*one) + k->path.len);
  if (!one)
    return;
  one->device = info->st_dev;
  one->inode = info->st_ino;
  memcpy(one->path, k->path.data, k->path.len);
  one->next = *bucket_of(k, info);
  *bucket_of(k, info) = one;
}

static int copy_file(copier *k, const entry *e) {
  if (e->info.st_nlink > 1) {
    const known *other = find_link(k, &e->info);
    if (other && linkat(k->top, other->path, e->to, e->name, 0) == 0)
      return 0;
  }
  int in = open_source(e, 0, 0400), out = -1, rc = -1;
  if (in < 0)
    return errno == ENOENT ? 0 : -1;
  out = openat(e->to, e->name,
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (out >= 0 && copy_data(k, in, out, e->info.st_size) == 0)
    rc = finish(k, e, in, out);
  relock(e, in);
  int error = errno;
  close(in);
  if (out >= 0 && close(out) && rc == 0) {
    rc = -1;
    error = errno;
  }
  if (rc == 0 && e->info.st_nlink > 1)
    remember_link(k, &e->info);
  errno = error;
  return rc;
}

/* ---- the rest ------------------------------------------------------------ */

static int copy_link(const entry *e) {
  const struct timespec times[2] = {e->info.st_atim, e->info.st_mtim};
  size_t size = (size_t)e->info.st_size + 2;
  char *target = malloc(size);
  if (!target)
    return -1;
  ssize_t len = readlinkat(e->from, e->name, target, size - 1);
  int rc = len < 0 ? -1 : 0;
  if (len >= 0) {
    target[len] = '\0';
    rc = symlinkat(target, e->to, e->name);
  }
  if (rc == 0)
    utimensat(e->to, e->name, times, AT_SYMLINK_NOFOLLOW);
  free(target);
  return rc;
}

static int copy_fifo(const entry *e) {
  mode_t mode = e->info.st_mode & 07777;
  if (mkfifoat(e->to, e->name, mode))
    return -1;
  return fchmodat(e->to, e->name, mode, 0);
}

/* What an overlay has removed: no device, and nobody needs rights for it. */
static int copy_whiteout(const entry *e) {
  return mknodat(e->to, e->name, S_IFCHR, makedev(0, 0));
}

/* ---- over another layer -------------------------------------------------- */

typedef enum room {
  ROOM_NONE = -1, /* with errno */
  ROOM_FREE,
  ROOM_MERGED, /* for a folder, which there is */
  ROOM_HIDING  /* for a folder where there was something else */
} room;

static bool is_opaque(const entry *e, int fd) {
  char value = 0;
  return S_ISDIR(e->info.st_mode) && fgetxattr(fd, OPAQUE, &value, 1) == 1 &&
         value == 'y';
}

/* Makes room for an entry, of which `fd` is open if it is a folder, as the
 * overlay would: only two folders are merged. */
static room make_room(const copier *k, const entry *e, int fd) {
  struct stat there;
  if (!k->over)
    return ROOM_FREE;
  if (fstatat(e->to, e->name, &there, AT_SYMLINK_NOFOLLOW))
    return errno == ENOENT ? ROOM_FREE : ROOM_NONE;
  const bool folder = S_ISDIR(e->info.st_mode);
  if (folder && S_ISDIR(there.st_mode) && !is_opaque(e, fd))
    return fchmodat(e->to, e->name, 0700, 0) ? ROOM_NONE : ROOM_MERGED;
  if (tree_remove_at(e->to, e->name))
    return ROOM_NONE;
  return folder ? ROOM_HIDING : ROOM_FREE;
}

/* Creates or unlocks a folder in the copy; its descriptor, or -1. */
static int open_target(copier *k, const entry *e, int in) {
  const room room = make_room(k, e, in);
  int fd = -1;
  if (room != ROOM_NONE &&
      (room == ROOM_MERGED || mkdirat(e->to, e->name, 0700) == 0))
    fd =
        openat(e->to, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || (room == ROOM_MERGED   ? drop_attributes(k, fd)
                 : room == ROOM_HIDING ? fsetxattr(fd, OPAQUE, "y", 1, 0)
                                       : 0) == 0)
    return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* ---- entries ------------------------------------------------------------- */

static int copy_folder(copier *k, const entry *e, unsigned level);

/* NOLINTNEXTLINE(misc-no-recursion): MAX_LEVEL bounds it */
static int copy_entry(copier *k, int from, int to, const char *name,
                      unsigned level) {
  entry e = {from, to, name, {0}};
  if (stopped(k))
    return -1;
  if (level <= 2 && k->skips && k->skips(k->path.data))
    return 0;
  if (fstatat(from, name, &e.info, AT_SYMLINK_NOFOLLOW))
    return errno == ENOENT ? 0 : -1;
  if (!S_ISDIR(e.info.st_mode) && make_room(k, &e, -1) == ROOM_NONE)
    return -1;
  k->bytes += (int64_t)e.info.st_blocks * 512;
  switch (e.info.st_mode & S_IFMT) {
  case S_IFDIR:
    return copy_folder(k, &e, level);
  case S_IFREG:
    return copy_file(k, &e);
  case S_IFLNK:
    return copy_link(&e);
  case S_IFIFO:
    return copy_fifo(&e);
  case S_IFCHR:
    return e.info.st_rdev == makedev(0, 0) ? copy_whiteout(&e) : 0;
  default:
    return 0;
  }
}

/* Takes ownership of `in`. */
/* NOLINTNEXTLINE(misc-no-recursion): MAX_LEVEL bounds it */
static int copy_children(copier *k, int in, int out, unsigned level) {
  size_t len = k->path.len;
  struct dirent *child;
  int rc = 0;
  DIR *dir = fdopendir(in);
  if (!dir) {
    close(in);
    return -1;
  }
  while (rc == 0 && (child = readdir(dir))) {
    if (!strcmp(child->d_name, ".") || !strcmp(child->d_name, ".."))
      continue;
    if (len > 0) /* over the NUL */
      k->path.data[len - 1] = '/';
    wrenn_buf_append(&k->path, child->d_name, strlen(child->d_name) + 1);
    rc = k->path.oom ? -1
                     : copy_entry(k, dirfd(dir), out, child->d_name, level + 1);
    if (k->path.oom)
      break;
    k->path.len = len;
    if (len > 0)
      k->path.data[len - 1] = '\0';
  }
  int error = errno;
  closedir(dir);
  errno = error;
  return rc;
}

/* NOLINTNEXTLINE(misc-no-recursion): MAX_LEVEL bounds it */
static int copy_folder(copier *k, const entry *e, unsigned level) {
  int rc = -1;
  if (level > MAX_LEVEL) {
    errno = ENAMETOOLONG;
    return -1;
  }
  int in = open_source(e, O_DIRECTORY, 0500);
  if (in < 0)
    return errno == ENOENT ? 0 : -1;
  int again = fcntl(in, F_DUPFD_CLOEXEC, 0);
  int out = open_target(k, e, in);
  if (again >= 0 && out >= 0)
    rc = copy_children(k, again, out, level);
  else if (again >= 0)
    close(again);
  if (rc == 0)
    rc = finish(k, e, in, out);
  int error = errno;
  relock(e, in);
  close(in);
  if (out >= 0)
    close(out);
  errno = error;
  return rc;
}

/* Takes ownership of `in`, which the children are read from. */
static int copy_top(copier *k, int in) {
  entry e = {0};
  int again = fcntl(in, F_DUPFD_CLOEXEC, 0);
  int rc = copy_children(k, in, k->top, 0);
  if (rc == 0)
    rc = again < 0 || fstat(again, &e.info) ? -1 : finish(k, &e, again, k->top);
  int error = errno;
  if (again >= 0)
    close(again);
  errno = error;
  return rc;
}

static void forget_links(copier *k) {
  for (size_t i = 0; i < LINK_BUCKETS; i++)
    while (k->links[i]) {
      known *next = k->links[i]->next;
      free(k->links[i]);
      k->links[i] = next;
    }
}

static int copy(const char *from, const char *to, copy_skips *skips, bool over,
                const atomic_bool *stop, int64_t *bytes) {
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  copier *k = calloc(1, sizeof(*k));
  int rc = -1, in = -1;
  if (!k)
    return -1;
  k->skips = skips;
  k->stop = stop;
  k->over = over;
  k->top = over || mkdir(to, 0700) == 0 ? open(to, flags) : -1;
  if (k->top >= 0 &&
      (!over || (fchmod(k->top, 0700) == 0 && drop_attributes(k, k->top) == 0)))
    in = open(from, flags);
  if (in >= 0)
    rc = copy_top(k, in);
  int error = errno;
  if (k->top >= 0)
    close(k->top);
  *bytes += k->bytes;
  forget_links(k);
  wrenn_buf_free(&k->path);
  free(k->piece);
  free(k);
  errno = error;
  return rc;
}

int copy_tree(const char *from, const char *to, copy_skips *skips,
              const atomic_bool *stop, int64_t *bytes) {
  return copy(from, to, skips, false, stop, bytes);
}

int copy_over(const char *from, const char *to, const atomic_bool *stop,
              int64_t *bytes) {
  return copy(from, to, NULL, true, stop, bytes);
}
