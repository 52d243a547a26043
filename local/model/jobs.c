#include "model/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/strangers.h"

struct job_copy {
  uv_work_t work;
  capsules *all;
  char **from, *to;
  size_t count;
  copy_skips *skips;
  atomic_bool stop;
  int error; /* an errno */
  int64_t bytes;
  job_copied *done;
  void *arg;
};

typedef struct removal {
  uv_work_t work;
  capsules *all;
  char *path;
} removal;

/* ---- copying ------------------------------------------------------------- */

static void free_copy(job_copy *j) {
  for (size_t i = 0; j->from && i < j->count; i++)
    free(j->from[i]);
  free(j->from);
  free(j->to);
  free(j);
}

/* Whoever records that a copy is complete relies on it. */
static bool is_on_disk(const char *tree) {
  int fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool ok = fd >= 0 && syncfs(fd) == 0;
  int error = errno;
  if (fd >= 0)
    close(fd);
  errno = error;
  return ok;
}

/* Where capsules may have many users, what is copied whole is such a system's.
 */
static int copy_one(job_copy *j, const char *from, bool over) {
  if (j->all->site.range && !j->skips)
    return strangers_copy(from, j->to, over, j->all->site.agent, &j->stop,
                          &j->bytes);
  return over ? copy_over(from, j->to, &j->stop, &j->bytes)
              : copy_tree(from, j->to, j->skips, &j->stop, &j->bytes);
}

static int copy(job_copy *j) {
  int rc = 0;
  for (size_t i = j->count; rc == 0 && i > 0; i--)
    rc = copy_one(j, j->from[i - 1], i < j->count);
  return rc;
}

/* An incomplete copy is removed. */
static void run_copy(uv_work_t *work) {
  job_copy *j = work->data;
  if (copy(j) == 0 && (!j->all->keep_data || is_on_disk(j->to)))
    return;
  j->error = errno;
  strangers_remove(j->to, j->all->site.agent);
}

static void after_copy(uv_work_t *work, int status) {
  job_copy *j = work->data;
  capsules *all = j->all;
  (void)status;
  j->done(j->arg, j->error ? strerror(j->error) : NULL, j->bytes);
  free_copy(j);
  capsules_release(all);
}

job_copy *job_copy_start(capsules *all, const char *const *from, size_t count,
                         const char *to, copy_skips *skips, job_copied *done,
                         void *arg) {
  job_copy *j = calloc(1, sizeof(*j));
  if (!j)
    return NULL;
  j->work.data = j;
  j->all = all;
  j->from = calloc(count, sizeof(*j->from));
  j->count = count;
  bool ok = j->from != NULL;
  for (size_t i = 0; ok && i < count; i++)
    ok = (j->from[i] = strdup(from[i])) != NULL;
  j->to = strdup(to);
  j->skips = skips;
  j->done = done;
  j->arg = arg;
  atomic_init(&j->stop, false);
  if (!ok || !j->to ||
      uv_queue_work(all->site.loop, &j->work, run_copy, after_copy)) {
    free_copy(j);
    return NULL;
  }
  capsules_hold(all);
  return j;
}

void job_copy_stop(job_copy *j) { atomic_store(&j->stop, true); }

/* ---- removing ------------------------------------------------------------ */

static void run_removal(uv_work_t *work) {
  removal *r = work->data;
  strangers_remove(r->path, r->all->site.agent);
}

static void after_removal(uv_work_t *work, int status) {
  removal *r = work->data;
  (void)status;
  capsules_release(r->all);
  free(r->path);
  free(r);
}

void job_remove(capsules *all, char *path) {
  removal *r = path ? calloc(1, sizeof(*r)) : NULL;
  if (!r) {
    free(path);
    return;
  }
  r->work.data = r;
  r->all = all;
  r->path = path;
  capsules_hold(all);
  if (uv_queue_work(all->site.loop, &r->work, run_removal, after_removal))
    after_removal(&r->work, 0);
}
