/* The walls around a capsule: what bubblewrap is told to put up. */
#ifndef WRENN_LOCAL_WALLS_H
#define WRENN_LOCAL_WALLS_H

#include "sandbox.h"
#include "words.h"

/* What a capsule finds the agent as. */
#define WALLS_AGENT "/run/wrenn-agent"

/* Makes the folders that a capsule has for itself inside its own one, which
 * exists. Returns 0 or -1 with errno. */
int walls_make_folders(const char *folder);

/* Appends the command line up to the program that is to run inside. */
void walls_put(words *w, const sandbox_options *options);

/* Tries whether bubblewrap can do this here at all: not every system lets it
 * make the namespaces. What it says when it cannot goes to stderr. */
bool walls_work(const char *bwrap, bool private_network);

#endif
