/* Whom commands in capsules run as. There is one uid underneath; what a
 * program is told of users is made up here. */
#ifndef WRENN_LOCAL_BOX_ACCOUNTS_H
#define WRENN_LOCAL_BOX_ACCOUNTS_H

#include <stdbool.h>

#include "box/words.h"

typedef struct account {
  const char *name, *home;
  unsigned id; /* of the user and of its group */
} account;

/* "root" or "wrenn-user"; NULL for any other. */
const account *account_find(const char *name);

/* Whether there is a user with this name where `user` is the default one. */
bool account_exists(const account *user, const char *name);

/* Writes the files of /etc that tell of users into a folder: the host's, with
 * root and the default user in them, and without anybody's password. False
 * with errno. */
bool accounts_write(const char *folder, const account *user);

/* Appends what puts those files in the place of the host's. */
void accounts_put_walls(words *w, const char *folder);

#endif
