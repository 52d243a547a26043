/* Copies a capsule's tree. Runs in a worker thread. */
#ifndef WRENN_LOCAL_UTIL_COPY_H
#define WRENN_LOCAL_UTIL_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether an entry is left out. `path` is relative to the top of the tree; only
 * called for the first two levels. */
typedef bool copy_skips(const char *path);

/* Copies the tree at `from` to `to`, which is created: files with holes and
 * hard links, folders, symbolic links and fifos, with modes, times and the
 * extended attributes of users; what an overlay says is removed; not sockets
 * and devices. Follows no link on either side. Ignores what is removed
 * meanwhile. Adds the size on disk to *bytes. Aborts when *stop is set. Returns
 * 0, or -1 with errno; what has been copied remains. */
int copy_tree(const char *from, const char *to, copy_skips *skips,
              const atomic_bool *stop, int64_t *bytes);

/* Copies a layer of an overlay in the same way over the copy of the layer below
 * it, which is there: `to` becomes one layer that shows what the two show
 * together, over whatever they lie. */
int copy_over(const char *from, const char *to, const atomic_bool *stop,
              int64_t *bytes);

#endif
