/* What the agent does before bubblewrap starts: it puts up a system of the
 * capsule's own, and where the server is root of the machine it makes the
 * capsule somebody else's, who is not root. */
#ifndef WRENN_LOCAL_BOX_LAUNCH_H
#define WRENN_LOCAL_BOX_LAUNCH_H

#include "box/sandbox.h"
#include "box/words.h"

/* Whether there is anything to do. */
bool launch_needed(const sandbox_options *options);

/* Appends the words for it, up to the program that is run then, and changes the
 * paths to those that this program finds. (Not those of the binds and layers,
 * which are appended by the next two.) */
void launch_put(words *w, sandbox_options *options);

/* Appends the path of a folder of the host. */
void launch_put_bind(words *w, const sandbox_options *options, size_t index);

/* Appends the path of a layer. */
void launch_put_layer(words *w, const sandbox_options *options, size_t index);

/* Tries whether a capsule can be somebody else's. */
bool launch_works(const char *agent);

#endif
