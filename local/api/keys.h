/* The API keys, one for each team, from the command line or a file. */
#ifndef WRENN_LOCAL_API_KEYS_H
#define WRENN_LOCAL_API_KEYS_H

#include <stdbool.h>

#include "model/team.h"

typedef struct keys {
  char list[TEAMS_MAX][KEY_MAX + 1];
  int count;
  char made[37]; /* "wrn_", 32 hex digits, NUL */
} keys;

/* Adds a key, or those of a file (one per line). Returns NULL, or an error
 * text. */
const char *keys_add(keys *k, const char *key);
const char *keys_read(keys *k, const char *path);

/* Creates a random key. */
void keys_make(keys *k);

#endif
