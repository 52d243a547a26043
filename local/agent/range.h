/* User namespaces that have many users. */
#ifndef WRENN_LOCAL_AGENT_RANGE_H
#define WRENN_LOCAL_AGENT_RANGE_H

#include <stdbool.h>

/* Enters a new one, and other new namespaces of these flags of clone: the user
 * becomes root there. False if there can be none, which it says on stderr. */
bool range_enter(int flags);

/* Writes a file of /proc; false with errno. */
bool range_write(const char *path, const char *text);

/* Makes all rights that this process may have count; false with errno. */
bool range_raise(void);

#endif
