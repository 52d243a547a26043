/* Copying a capsule's tree. Runs off the loop, in a thread of its own. */
#ifndef WRENN_LOCAL_MODEL_COPY_H
#define WRENN_LOCAL_MODEL_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether an entry is left out. `path` is relative to the top of the tree;
 * only entries of the first two levels are asked about. */
typedef bool copy_skips(const char *path);

/* Copies the tree at `from` to `to`, which is made: files with their holes and
 * hard links, folders, symbolic links and fifos, with modes and times; sockets
 * and devices are left out. No link is followed on either side. What vanishes
 * meanwhile is left out. Adds the size on disk to *bytes. Ends early once
 * *stop is set. Returns 0, or -1 with errno; what has been copied stays. */
int copy_tree(const char *from, const char *to, copy_skips *skips,
              const atomic_bool *stop, int64_t *bytes);

#endif
