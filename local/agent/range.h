/* User namespaces that have many users, or one who is not who made it. */
#ifndef WRENN_LOCAL_AGENT_RANGE_H
#define WRENN_LOCAL_AGENT_RANGE_H

#include <stdbool.h>
#include <sys/types.h>

/* Who is in it. For root of the machine somebody else is root in there; for
 * others it is the user. */
typedef enum range_kind {
  RANGE_ONE,  /* this root only */
  RANGE_MANY, /* and the users that are set aside */
  RANGE_ALL   /* everybody, with the same numbers: for root of the machine */
} range_kind;

/* Is called in a process that stays outside, when the namespace of `inside` is
 * complete. */
typedef bool range_outside(pid_t inside, void *arg);

/* Enters a new one and becomes root there. False if there can be none, which it
 * says on stderr. `outside` may be NULL. */
bool range_enter(range_kind kind, range_outside *outside, void *arg);

/* Numbers in a row; the first stands for root. */
typedef struct range {
  unsigned first, count;
} range;

/* The users and groups of such a namespace, where the server is root of the
 * machine. */
bool range_of_root(range *users, range *groups);

/* Writes a file of /proc; false with errno. */
bool range_write(const char *path, const char *text);

/* Makes all rights that this process may have count; false with errno. */
bool range_raise(void);

#endif
