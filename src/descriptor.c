#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int wrenn_above_streams(int fd) {
  if (fd < 0 || fd > STDERR_FILENO)
    return fd;
  int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  int why = errno;
  close(fd);
  errno = why;
  return higher;
}
