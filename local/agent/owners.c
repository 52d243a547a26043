/*
 * A mount that shows other owners than there are. In a file of its own, because
 * what the kernel's headers and the C library's say of mounts cannot be
 * included together everywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/stage.h"

bool stage_put_tree(const char *tree, const char *place, pid_t inside) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)inside);
  int users = open(path, O_RDONLY | O_CLOEXEC);
  int fd = (int)syscall(SYS_open_tree, AT_FDCWD, tree,
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  struct mount_attr to = {.attr_set = MOUNT_ATTR_IDMAP,
                          .userns_fd = (unsigned)users};
  bool ok =
      users >= 0 && fd >= 0 &&
      syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &to, sizeof(to)) == 0 &&
      syscall(SYS_move_mount, fd, "", AT_FDCWD, place,
              MOVE_MOUNT_F_EMPTY_PATH) == 0;
  int error = errno;
  if (users >= 0)
    close(users);
  if (fd >= 0)
    close(fd);
  errno = error;
  return ok;
}
