#include "agent/agent.h"

#include <limits.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux before 5.9 and C libraries before the call was known have it not. */
bool agent_close_from(int first) {
#ifdef SYS_close_range
  if (!syscall(SYS_close_range, first, ~0U, 0))
    return true;
#endif
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_max > INT_MAX)
    return false;
  for (int fd = first; fd < (int)limit.rlim_max; fd++)
    close(fd);
  return true;
}
