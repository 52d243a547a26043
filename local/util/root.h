/* Whether the server is root of the whole machine. */
#ifndef WRENN_LOCAL_UTIL_ROOT_H
#define WRENN_LOCAL_UTIL_ROOT_H

#include <stdbool.h>

/* True for root, unless it is in a user namespace of a few users: what such a
 * root may become is decided already, and there is nobody else to be. */
bool root_is_real(void);

/* Where what a capsule of such a root is made of is mounted before it starts.
 * No capsule has the host's. */
#define ROOT_STAGE "/sys"

#endif
