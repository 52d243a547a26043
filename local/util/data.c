#include "util/data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/strangers.h"

#define PREFIX "wrenn-local-"

static bool join(char out[PATH_MAX], const char *folder, const char *name) {
  int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
  return len > 0 && len < PATH_MAX;
}

/* Creates the lock that a server holds on its folder as long as it runs. It is
 * locked before it gets its name, so a free lock with that name was left by a
 * server that was killed. */
static int make_lock(const char *folder) {
  char fresh[PATH_MAX], final[PATH_MAX];
  if (!join(fresh, folder, "lock.new") || !join(final, folder, "lock"))
    return -1;
  int fd = open(fresh, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && rename(fresh, final) == 0)
    return fd;
  if (fd >= 0)
    close(fd);
  return -1;
}

/* A given folder is used by one server at a time. This lock has another name,
 * because folders with a free `lock` are removed. */
static const char *take_lock(data_folder *d) {
  char path[PATH_MAX];
  if (!join(path, d->path, "in-use"))
    return "cannot use the data folder: ";
  d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (d->lock < 0)
    return "cannot use the data folder: ";
  return flock(d->lock, LOCK_EX | LOCK_NB)
             ? "the data folder is in use by another server: "
             : NULL;
}

static void remove_if_left(const char *folder, const char *agent) {
  char path[PATH_MAX];
  struct stat info;
  if (lstat(folder, &info) || !S_ISDIR(info.st_mode) ||
      info.st_uid != geteuid() || !join(path, folder, "lock"))
    return;
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0)
    strangers_remove(folder, agent);
  close(fd);
}

static void sweep(const char *base, const char *agent) {
  char path[PATH_MAX];
  DIR *dir = opendir(base);
  struct dirent *item;
  while (dir && (item = readdir(dir)))
    if (strncmp(item->d_name, PREFIX, sizeof(PREFIX) - 1) == 0 &&
        join(path, base, item->d_name))
      remove_if_left(path, agent);
  if (dir)
    closedir(dir);
}

const char *data_open(data_folder *d, const char *given, const char *agent) {
  const char *base = getenv("TMPDIR");
  char path[PATH_MAX];
  *d = (data_folder){.lock = -1, .agent = agent};
  if (given) {
    if (mkdir(given, 0700) && errno != EEXIST)
      return "cannot create the data folder: ";
    return realpath(given, d->path) ? take_lock(d)
                                    : "cannot use the data folder: ";
  }
  if (!base || !*base)
    base = "/tmp";
  sweep(base, agent);
  if (!join(path, base, PREFIX "XXXXXX") || !mkdtemp(path) ||
      !realpath(path, d->path))
    return "cannot create a temporary folder: ";
  d->own = true;
  d->lock = make_lock(d->path);
  return NULL;
}

void data_close(data_folder *d) {
  if (d->own)
    strangers_remove(d->path, d->agent);
  if (d->lock >= 0)
    close(d->lock);
}
