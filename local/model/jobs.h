/* Copies and removals of trees, in worker threads. The server waits for them
 * before it ends. */
#ifndef WRENN_LOCAL_MODEL_JOBS_H
#define WRENN_LOCAL_MODEL_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/capsule.h"
#include "util/copy.h"

typedef struct job_copy job_copy;

/* `error` is NULL or the reason of a failed copy; `bytes` is its size on
 * disk. */
typedef void job_copied(void *arg, const char *error, int64_t bytes);

/* Copies a tree to a path that must not exist; or several layers of an overlay,
 * the uppermost first, of which it makes one. `done` is called later, on the
 * loop. Returns NULL, without a call, if the copy cannot be started. */
job_copy *job_copy_start(capsules *all, const char *const *from, size_t count,
                         const char *to, copy_skips *skips, job_copied *done,
                         void *arg);

/* Aborts a copy; `done` is called all the same, with an error. */
void job_copy_stop(job_copy *j);

/* Removes a tree in the background. Takes ownership of the path. */
void job_remove(capsules *all, char *path);

#endif
