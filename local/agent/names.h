/* Names of users and groups, from the files in /etc alone: the agent is linked
 * statically, since it runs in systems with another C library, and the usual
 * functions would load parts of theirs. */
#ifndef WRENN_LOCAL_AGENT_NAMES_H
#define WRENN_LOCAL_AGENT_NAMES_H

#include <pwd.h>
#include <sys/types.h>

/* Like getpwuid and getpwnam; valid until the next call of either. */
const struct passwd *names_of_uid(uid_t uid);
const struct passwd *names_of_user(const char *name);

/* The name of a group; NULL if it has none. Valid until the next call. */
const char *names_of_gid(gid_t gid);

/* Fills in the groups of a user, its own one first, and returns how many. */
size_t names_groups_of(const char *user, gid_t own, gid_t *list, size_t most);

#endif
