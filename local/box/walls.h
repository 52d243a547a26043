/* The isolation of a capsule: the command line of bubblewrap. */
#ifndef WRENN_LOCAL_BOX_WALLS_H
#define WRENN_LOCAL_BOX_WALLS_H

#include "box/sandbox.h"
#include "box/words.h"

/* The paths of the agent in a capsule, as itself and as sudo. */
#define WALLS_AGENT "/run/wrenn-agent"
#define WALLS_SUDO "/run/sudo"

/* Creates the capsule's folders in its existing folder; anything in the place
 * of one that is not a folder is removed. Returns 0, or -1 with errno. */
int walls_make_folders(const char *folder);

/* Whether an entry of a capsule's folder was created for the isolation, or is
 * in its way. A path prepared by a user must not be a mount point: bubblewrap
 * would follow a link there. */
bool walls_need(const char *path);

/* Appends the command line up to the program that is to run inside. Its first
 * word is the name of the program, whose path walls_program returns. */
void walls_put(words *w, const sandbox_options *options);
const char *walls_program(const sandbox_options *options);

/* Tries whether bubblewrap works here: not every system allows the namespaces,
 * and before its version 0.7 it cannot limit sizes. Its error message goes to
 * stderr, if no sizes are asked for. */
bool walls_work(const char *bwrap, bool private_network, bool sizes);

#endif
