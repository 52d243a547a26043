/* A system of a capsule's own: a layer for what it changes, over those of
 * snapshots and a tree, which it shares with others. */
#ifndef WRENN_LOCAL_BOX_LAYERS_H
#define WRENN_LOCAL_BOX_LAYERS_H

#include "box/sandbox.h"
#include "box/words.h"

/* In the capsule's folder: the layer, and where the whole appears. */
#define LAYERS_OWN "upper"
#define LAYERS_ROOT "root"

/* Over so many snapshots, each over the one before, a capsule may lie. The
 * kernel takes more, but looks for each name in all of them. */
#define LAYERS_MAX 16

/* Creates what a layer needs in a capsule's existing folder; false with
 * errno. */
bool layers_make(const char *folder);

/* Appends the words of launch.h that put the layer up. */
void layers_put(words *w, const sandbox_options *options);

/* Tries whether a capsule with such a system can be started, in a folder that
 * it creates and removes. What is wrong goes to stderr. */
bool layers_try(const sandbox_options *options);

/* Tries whether there can be any here; or such that have a range of users. */
bool layers_work(const char *agent, bool range, bool is_root);

#endif
