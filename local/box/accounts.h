/* The users that commands in capsules run as. All of them are the same uid of
 * the host; what programs learn about users is defined here. */
#ifndef WRENN_LOCAL_BOX_ACCOUNTS_H
#define WRENN_LOCAL_BOX_ACCOUNTS_H

#include <stdbool.h>

#include "box/words.h"

typedef struct account {
  const char *name, *home;
  unsigned id; /* of the user and of its group */
} account;

/* Returns "root" or "wrenn-user"; NULL for any other name. */
const account *account_find(const char *name);

/* Whether there is a user of this name if `user` is the default one. */
bool account_exists(const account *user, const char *name);

/* Writes the files of /etc that describe users into a folder: those of the
 * host, with root and the default user added, and without passwords. False with
 * errno. */
bool accounts_write(const char *folder, const account *user);

/* Appends the options that mount these files over the host's. */
void accounts_put_walls(words *w, const char *folder);

#endif
