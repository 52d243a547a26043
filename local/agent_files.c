#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "tree.h"

static void fail_errno(agent_reply *reply, const char *what, const char *path) {
  bool missing = errno == ENOENT || errno == ENOTDIR;
  agent_fail(reply, missing ? "not_found" : "failed", "%s %s: %s", what, path,
             strerror(errno));
}

void agent_open_read(const agent *a, const wrenn_json *order,
                     agent_reply *reply) {
  struct stat info;
  char *path = agent_path(a, order, "path", reply);
  if (!path)
    return;
  /* Without O_NONBLOCK a fifo would hold the agent up. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR)
      agent_fail(reply, "not_found", "path '%s' does not exist", path);
    else
      fail_errno(reply, "read file", path);
    goto out;
  }
  if (fstat(fd, &info) || !S_ISREG(info.st_mode)) {
    agent_fail(reply, "failed", "read file: read file %s: status 400: %s", path,
               S_ISDIR(info.st_mode) ? "is a directory"
                                     : "is not a regular file");
    close(fd);
    goto out;
  }
  reply->fds[reply->fd_count++] = fd;

out:
  free(path);
}

/* Makes the directories above a path. Returns 0 or -1. */
static int make_parents(char *path) {
  for (char *at = path + 1; (at = strchr(at, '/')); at++) {
    *at = '\0';
    int rc = mkdir(path, 0755);
    *at = '/';
    if (rc && errno != EEXIST)
      return -1;
  }
  return 0;
}

void agent_open_write(const agent *a, const wrenn_json *order,
                      agent_reply *reply) {
  char *path = agent_path(a, order, "path", reply);
  if (!path)
    return;
  int fd = -1;
  if (make_parents(path) == 0)
    fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
  if (fd < 0)
    agent_fail(reply, "failed", "write file %s: status 400: %s", path,
               strerror(errno));
  else
    reply->fds[reply->fd_count++] = fd;
  free(path);
}

void agent_mkdir(const agent *a, const wrenn_json *order, agent_reply *reply) {
  struct stat info;
  char *path = agent_path(a, order, "path", reply);
  if (!path)
    return;
  size_t len = strlen(path);
  while (len > 1 && path[len - 1] == '/')
    path[--len] = '\0';
  if (stat(path, &info) == 0) {
    if (S_ISDIR(info.st_mode))
      agent_fail(reply, "exists",
                 "already_exists: directory already exists: %s", path);
    else
      agent_fail(reply, "invalid", "path exists but is not a directory: %s",
                 path);
  } else if (make_parents(path) || mkdir(path, 0755)) {
    agent_fail(reply, "failed", "create directory %s: %s", path,
               strerror(errno));
  }
  free(path);
}

void agent_remove(const agent *a, const wrenn_json *order, agent_reply *reply) {
  char *path = agent_path(a, order, "path", reply);
  if (!path)
    return;
  /* With a slash at its end, a link would be what it leads to. */
  size_t len = strlen(path);
  while (len > 1 && path[len - 1] == '/')
    path[--len] = '\0';
  if (tree_remove(path))
    fail_errno(reply, "error removing", path);
  free(path);
}
