/* Copies of a capsule's files: into a new capsule, and from a running one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "box/layers.h"
#include "box/walls.h"
#include "model/capsule.h"
#include "model/jobs.h"
#include "model/templates.h"
#include "util/path.h"

struct copying {
  capsule *of;
  job_copy *job; /* NULL before and after */
  template *from;
  capsule_status before;
  char *to;
  bool whole; /* with the layers that the capsule lies over */
  capsule_copied *done;
  void *arg;
  int64_t bytes;
  char error[128]; /* empty: none */
};

static void end(struct copying *k) {
  k->of->copying = NULL;
  free(k->to);
  free(k);
}

bool capsule_is_filling(const capsule *c) {
  return c->copying && c->copying->from;
}

void capsule_copy_stop(capsule *c) {
  if (c->copying && c->copying->job)
    job_copy_stop(c->copying->job);
}

/* ---- into a new one ------------------------------------------------------ */

char *capsule_filling_path(const capsule *c) {
  size_t size = strlen(c->folder) + sizeof(".new");
  char *path = malloc(size);
  if (path)
    snprintf(path, size, "%s.new", c->folder);
  return path;
}

static void on_filled(void *arg, const char *error, int64_t bytes) {
  struct copying *k = arg;
  capsule *c = k->of;
  (void)bytes;
  if (!error && rename(k->to, c->folder))
    error = strerror(errno);
  if (error)
    job_remove(c->all, strdup(k->to));
  template_release(k->from);
  end(k);
  if (error && c->status == CAPSULE_STARTING)
    fprintf(stderr, "wrenn-local: cannot fill a capsule: %s\n", error);
  /* It may have been destroyed meanwhile. */
  if (error || c->status != CAPSULE_STARTING || !capsule_start(c))
    capsule_gone(&c->box);
}

bool capsule_fill(capsule *c, template *from) {
  struct copying *k = calloc(1, sizeof(*k));
  char *tree = k ? template_tree(from) : NULL;
  char *to = tree ? capsule_filling_path(c) : NULL;
  if (to) {
    *k = (struct copying){.of = c, .from = from, .to = to};
    k->job = job_copy_start(c->all, (const char *const *)&tree, 1, to, NULL,
                            on_filled, k);
  }
  free(tree);
  if (!k || !k->job) {
    free(to);
    free(k);
    return false;
  }
  c->copying = k;
  template_hold(from);
  return true;
}

/* ---- out of one ---------------------------------------------------------- */

static void finish(struct copying *k) {
  struct copying ended = *k;
  end(k);
  ended.done(ended.arg, *ended.error ? ended.error : NULL, ended.bytes);
}

static void fail(struct copying *k, const char *error) {
  snprintf(k->error, sizeof(k->error), "%s", error);
}

static void on_awake(void *arg, const sandbox_reply *reply) {
  capsule *c = arg;
  (void)reply; /* without its agent the capsule fails soon */
  if (c->status == CAPSULE_SNAPSHOTTING)
    capsule_set_status(c, CAPSULE_RUNNING);
  finish(c->copying);
}

static void go_back(struct copying *k) {
  capsule *c = k->of;
  capsule_status to = k->before;
  if (c->all->generation < GENERATION_0_2 && !*k->error)
    to = CAPSULE_PAUSED; /* it does not resume in this generation */
  if (to == CAPSULE_RUNNING && capsule_order(c, "resume", on_awake))
    return;
  capsule_set_status(c, to);
  finish(k);
}

static void on_copied(void *arg, const char *error, int64_t bytes) {
  struct copying *k = arg;
  k->job = NULL;
  k->bytes = bytes;
  if (error)
    fail(k, error);
  if (k->of->status == CAPSULE_SNAPSHOTTING) {
    go_back(k);
  } else {
    fail(k, "the capsule has ended");
    finish(k);
  }
}

/* What a template of it consists of: its folder, or its changes to a system of
 * its own, with those of the snapshots that the template does not lie over. */
static bool start(struct copying *k) {
  const capsule *c = k->of;
  const char *from[1 + LAYERS_MAX] = {c->folder};
  size_t count = 1;
  char *own = c->system ? path_join(c->folder, LAYERS_OWN) : NULL;
  if (own)
    from[0] = own;
  for (size_t i = 0; k->whole && i < c->box.layer_count; i++)
    from[count++] = c->box.layers[i];
  if (own || !c->system)
    k->job = job_copy_start(c->all, from, count, k->to,
                            c->system ? NULL : walls_need, on_copied, k);
  free(own);
  return k->job != NULL;
}

static void on_asleep(void *arg, const sandbox_reply *reply) {
  struct copying *k = ((capsule *)arg)->copying;
  if (k->of->status != CAPSULE_SNAPSHOTTING) {
    fail(k, "the capsule has ended");
    finish(k);
  } else if (reply->error || !start(k)) {
    fail(k, reply->error ? reply->text : "out of memory");
    go_back(k);
  }
}

bool capsule_copy(capsule *c, const template *to, capsule_copied *done,
                  void *arg) {
  struct copying *k = calloc(1, sizeof(*k));
  capsule_status before = c->status;
  if (!k)
    return false;
  *k = (struct copying){.of = c,
                        .before = before,
                        .to = template_tree(to),
                        .whole = !to->below,
                        .done = done,
                        .arg = arg};
  c->copying = k;
  if (!k->to ||
      !(before == CAPSULE_RUNNING ? capsule_order(c, "pause", on_asleep)
                                  : start(k))) {
    end(k);
    return false;
  }
  if (c->all->generation < GENERATION_0_2)
    capsule_cut(c); /* it ends up paused */
  capsule_set_status(c, CAPSULE_SNAPSHOTTING);
  return true;
}
