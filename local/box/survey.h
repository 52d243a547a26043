/* What of the isolation works on this machine, and what to do where it does
 * not. */
#ifndef WRENN_LOCAL_BOX_SURVEY_H
#define WRENN_LOCAL_BOX_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "box/cgroup.h"

/* Below this many open files the start says so. */
#define SURVEY_FILES_MIN 4096

typedef struct survey {
  const char *bwrap; /* its path; NULL: there is none */
  const char *agent; /* its path; NULL: there is none */
  const char *slirp; /* the same, of slirp4netns */
  bool is_root;      /* of the machine */
  const cgroups *cgroups;
  uint64_t open_files;
} survey;

/* Prints a line for each point on the standard output. Returns whether capsules
 * with walls can be started. */
bool survey_print(const survey *s);

/* What to do where bubblewrap cannot create namespaces. */
const char *survey_remedy(void);

/* Says on the standard error what cannot be promised here. */
void survey_warn(const survey *s);

#endif
