/* The folder in which capsules keep their files. */
#ifndef WRENN_LOCAL_UTIL_DATA_H
#define WRENN_LOCAL_UTIL_DATA_H

#include <limits.h>
#include <stdbool.h>

typedef struct data_folder {
  char path[PATH_MAX];
  bool own;          /* temporary: removed at the end */
  const char *agent; /* of strangers.h */
  int lock;          /* held while this server runs; -1: none */
} data_folder;

/* Uses the given folder and creates it if necessary; or creates a temporary
 * one, and removes those of servers that were killed. Returns NULL, or an error
 * text with errno set. `agent`, of strangers.h, must outlive it. */
const char *data_open(data_folder *d, const char *given, const char *agent);

/* Removes it if it is temporary. */
void data_close(data_folder *d);

#endif
