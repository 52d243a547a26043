/* The walls around a capsule: what bubblewrap is told to put up. */
#ifndef WRENN_LOCAL_BOX_WALLS_H
#define WRENN_LOCAL_BOX_WALLS_H

#include "box/sandbox.h"
#include "box/words.h"

/* What a capsule finds the agent as, and by the name of sudo. */
#define WALLS_AGENT "/run/wrenn-agent"
#define WALLS_SUDO "/run/sudo"

/* Makes the folders that a capsule has for itself inside its own one, which
 * exists; what stands in for one of them and is no folder makes way. Returns 0
 * or -1 with errno. */
int walls_make_folders(const char *folder);

/* Whether an entry of a capsule's folder is not its own: put there for the
 * walls, or in the way of them. What somebody has been able to prepare must
 * not be where bubblewrap is to mount something: it would follow a link. */
bool walls_need(const char *path);

/* Appends the command line up to the program that is to run inside. */
void walls_put(words *w, const sandbox_options *options);

/* Tries whether bubblewrap can do this here at all: not every system lets it
 * make the namespaces. What it says when it cannot goes to stderr. */
bool walls_work(const char *bwrap, bool private_network);

#endif
