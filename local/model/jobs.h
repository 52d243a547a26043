/* Work on whole trees, done in threads beside the loop. The server does not
 * end before it is done. */
#ifndef WRENN_LOCAL_MODEL_JOBS_H
#define WRENN_LOCAL_MODEL_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/capsule.h"
#include "model/copy.h"

typedef struct job_copy job_copy;

/* `error` is NULL or says why there is no copy; `bytes` is its size on disk. */
typedef void job_copied(void *arg, const char *error, int64_t bytes);

/* Copies a tree to a path that must not exist. `done` follows on the loop. NULL
 * when it cannot be begun: then it does not. */
job_copy *job_copy_start(capsules *all, const char *from, const char *to,
                         copy_skips *skips, job_copied *done, void *arg);

/* Has it end early; `done` follows all the same, with an error. */
void job_copy_stop(job_copy *j);

/* Removes a tree, in its own time. Takes over the path, which was allocated. */
void job_remove(capsules *all, char *path);

#endif
