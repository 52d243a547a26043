/*
 * For a server of root of the machine. Its capsules are somebody else's, who
 * may neither enter the server's folders nor has any files: before the server's
 * rights are given up, what a capsule is made of is mounted where that user
 * reaches it, in a mount namespace of its own.
 */
#ifndef WRENN_LOCAL_AGENT_STAGE_H
#define WRENN_LOCAL_AGENT_STAGE_H

#include <stdbool.h>

#include "agent/range.h"

/* Reads the words that concern it, and enters a user namespace of this kind.
 * Each is followed by a path and where that is to appear:
 *
 *   own PATH PLACE    what becomes the capsule's, if it is root's
 *   show PATH PLACE
 *   tree PATH PLACE   of which root and the others become those of the capsule
 *
 * Returns the first word after them; NULL if it fails, which it says on
 * stderr. */
char **stage_enter(char **words, range_kind kind);

/* Lets everybody in a mount namespace of this process open a device that is
 * root's; false with errno. */
bool stage_lend(const char *device);

/* Mounts a tree with the users of this process's user namespace in the place of
 * those with the same numbers; false with errno. */
bool stage_put_tree(const char *tree, const char *place, pid_t inside);

#endif
