/* File operations, with the error texts of the real guest daemon. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "util/tree.h"

void agent_open_read(const agent *a, const wrenn_json *order,
                     agent_reply *reply) {
  struct stat info;
  int fd = -1;
  char *path = agent_path(a, order, "path", reply);
  if (!path)
    return;
  if (stat(path, &info)) {
    if (errno == ENOENT)
      agent_fail(reply, "not_found", "path '%s' does not exist", path);
    else
      agent_fail_errno(reply, "error checking path");
    goto out;
  }
  if (!S_ISREG(info.st_mode)) {
    agent_fail(reply, "invalid",
               S_ISDIR(info.st_mode) ? "path '%s' is a directory"
                                     : "path '%s' is not a regular file",
               path);
    goto out;
  }
  /* O_NONBLOCK, in case the file has been replaced by a fifo: opening that
   * would block the agent. */
  fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    agent_fail_errno(reply, "error reading file");
  else
    reply->fds[reply->fd_count++] = fd;

out:
  free(path);
}

/* What is new belongs to the user that commands run as; with a single user it
 * does so anyway. */
static void give(const agent *a, const char *path, int fd) {
  if (a->uid != getuid() &&
      (fd < 0 ? lchown(path, a->uid, a->uid) : fchown(fd, a->uid, a->uid)))
    errno = 0; /* a volume may belong to the server's user alone */
}

/* Creates a directory if it does not exist; false with a failure set. */
static bool make_directory(const agent *a, const char *path,
                           agent_reply *reply) {
  struct stat info;
  char what[1000];
  if (stat(path, &info) == 0) {
    if (!S_ISDIR(info.st_mode))
      agent_fail(reply, "failed", "path is a file: %s", path);
    return S_ISDIR(info.st_mode);
  }
  if (errno == ENOENT && mkdir(path, 0755) == 0) {
    give(a, path, -1);
    return true;
  }
  bool there = errno == EEXIST || errno == ENOENT || errno == EACCES ||
               errno == EROFS || errno == ENOSPC;
  snprintf(what, sizeof(what), "failed to %s directory %s",
           there ? "create" : "stat", path);
  agent_fail_errno(reply, what);
  return false;
}

/* Creates the directories above a path, and the path itself if `all`; false
 * with a failure set. */
static bool make_directories(const agent *a, char *path, bool all,
                             agent_reply *reply) {
  for (char *at = path + 1; (at = strchr(at, '/')); at++) {
    *at = '\0';
    bool ok = make_directory(a, path, reply);
    *at = '/';
    if (!ok)
      return false;
  }
  return !all || make_directory(a, path, reply);
}

/* Adds a prefix to a reason. */
static void fail_within(agent_reply *reply, const char *what) {
  wrenn_buf text = {0};
  wrenn_buf_printf(&text, "%s: ", what);
  wrenn_buf_append(&text, reply->detail.data, reply->detail.len);
  wrenn_buf_free(&reply->detail);
  reply->detail = text;
}

void agent_open_write(const agent *a, const wrenn_json *order,
                      agent_reply *reply) {
  struct stat info;
  char *path = agent_path(a, order, "path", reply);
  if (!path)
    return;
  int fd = -1;
  if (!make_directories(a, path, false, reply)) {
    fail_within(reply, "error ensuring directories");
    goto out;
  }
  bool fresh = stat(path, &info) != 0;
  if (fresh) {
    if (errno != ENOENT) {
      agent_fail_errno(reply, "error getting file info");
      goto out;
    }
  } else if (S_ISDIR(info.st_mode)) {
    agent_fail(reply, "invalid", "path is a directory: %s", path);
    goto out;
  }
  fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
  if (fd >= 0 && fresh)
    give(a, path, fd);
  if (fd >= 0)
    reply->fds[reply->fd_count++] = fd;
  else if (errno == ENOSPC)
    agent_fail(reply, "full", "not enough disk space available");
  else
    agent_fail_errno(reply, "error opening file");

out:
  free(path);
}

/* Removes trailing slashes, which would follow a link. */
static void cut_slashes(char *path) {
  size_t len = strlen(path);
  while (len > 1 && path[len - 1] == '/')
    path[--len] = '\0';
}

void agent_mkdir(const agent *a, const wrenn_json *order, agent_reply *reply) {
  struct stat info;
  char *path = agent_path(a, order, "path", reply);
  if (!path)
    return;
  cut_slashes(path);
  if (stat(path, &info) == 0) {
    if (S_ISDIR(info.st_mode))
      agent_fail(reply, "exists", "directory already exists: %s", path);
    else
      agent_fail(reply, "invalid", "path exists but is not a directory: %s",
                 path);
  } else if (errno != ENOENT) {
    agent_fail_errno(reply, "error getting file info");
  } else if (make_directories(a, path, true, reply)) {
    agent_put_entry(path, reply);
  }
  free(path);
}

/* Both ways to remove something failed, each with a reason. */
static void fail_removing(const char *path, agent_reply *reply) {
  int first = errno;
  int second = unlink(path) ? errno : 0; /* a tree's own file was in use */
  if (second)
    agent_fail(reply, first == ENOENT ? "not_found" : "failed",
               "error removing: %s (os error %d); also tried as file: %s (os "
               "error %d)",
               strerror(first), first, strerror(second), second);
}

void agent_remove(const agent *a, const wrenn_json *order, agent_reply *reply) {
  char *path = agent_path(a, order, "path", reply);
  if (!path)
    return;
  cut_slashes(path);
  if (tree_remove(path))
    fail_removing(path, reply);
  free(path);
}
