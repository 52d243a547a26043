/* Trees with files of users that only a range of users knows (wrenn-agent under
 * the name of launch, in a namespace with this range, handles them). */
#ifndef WRENN_LOCAL_UTIL_STRANGERS_H
#define WRENN_LOCAL_UTIL_STRANGERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Removes a tree, like tree_remove; with the agent if it takes that. `agent` is
 * its path, or NULL. */
int strangers_remove(const char *path, const char *agent);

/* Copies a tree with the agent, like copy_tree, or copy_over. */
int strangers_copy(const char *from, const char *to, bool over,
                   const char *agent, const atomic_bool *stop, int64_t *bytes);

#endif
