/* The templates that a user has made of systems: a folder of the user's, in
 * which each is a tree, or a link to one. Servers look into it whenever
 * templates are asked for. */
#ifndef WRENN_LOCAL_MODEL_SHELF_H
#define WRENN_LOCAL_MODEL_SHELF_H

#include <stdbool.h>
#include <time.h>

/* A path must fit into a snapshot's record. */
#define SHELF_PATH_MAX 1024

/* What is wrong with a tree that capsules are to have as their system; NULL if
 * nothing is. */
const char *shelf_refuses(const char *tree);

/* Calls `found` for each of them, with its name and the path of its tree. */
typedef void shelf_found(void *arg, const char *name, const char *tree,
                         time_t made);
void shelf_each(shelf_found *found, void *arg);

/* `wrenn-local template ...`: the words from `template` on. Returns the
 * program's status. */
int shelf_command(int argc, char **argv);

#endif
