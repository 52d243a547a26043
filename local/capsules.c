/* The team's list of capsules: ids, the table, the reaper, the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "process.h"
#include "walls.h"

#define REAPER_MS 2000
/* Capsules that have ended stay readable by id, for as long as this at the
 * least; after that the oldest go when there are too many. */
#define ENDED_KEPT_MS ((uint64_t)3600 * 1000)
#define ENDED_MAX 10000

/* ---- ids ----------------------------------------------------------------- */

static void make_id(char id[CAPSULE_ID_LEN + 1]) {
  static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  unsigned char bytes[CAPSULE_ID_LEN - 3];
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
    abort();
  memcpy(id, "cl-", 3);
  for (size_t i = 0; i < sizeof(bytes); i++)
    id[i + 3] = digits[bytes[i] % 36];
  id[CAPSULE_ID_LEN] = '\0';
}

bool capsule_id_ok(const char *id) {
  return strlen(id) == CAPSULE_ID_LEN && strncmp(id, "cl-", 3) == 0 &&
         strspn(id + 3, "0123456789abcdefghijklmnopqrstuvwxyz") ==
             CAPSULE_ID_LEN - 3;
}

static capsule **bucket_of(capsules *all, const char *id) {
  size_t hash = 0;
  while (*id)
    hash = hash * 31 + (unsigned char)*id++;
  return &all->buckets[hash % CAPSULE_BUCKETS];
}

capsule *capsule_find(capsules *all, const char *id) {
  capsule *c = *bucket_of(all, id);
  while (c && strcmp(c->id, id) != 0)
    c = c->in_bucket;
  return c;
}

/* ---- the list ------------------------------------------------------------ */

static void link_in(capsules *all, capsule *c) {
  capsule **bucket = bucket_of(all, c->id);
  c->in_bucket = *bucket;
  *bucket = c;
  c->next = all->first;
  if (c->next)
    c->next->previous = c;
  else
    all->last = c;
  all->first = c;
  all->count++;
}

static void unlink_it(capsules *all, capsule *c) {
  capsule **at = bucket_of(all, c->id);
  while (*at != c)
    at = &(*at)->in_bucket;
  *at = c->in_bucket;
  *(c->previous ? &c->previous->next : &all->first) = c->next;
  *(c->next ? &c->next->previous : &all->last) = c->previous;
  all->count--;
}

static void on_timer_closed(uv_handle_t *handle) {
  capsule *c = handle->data;
  free(c->metrics.points);
  free(c->labels);
  free(c->folder);
  free(c);
}

static void free_capsule(capsule *c) {
  uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static bool make_folder(capsule *c) {
  size_t size = strlen(c->all->data) + CAPSULE_ID_LEN + 2;
  c->folder = malloc(size);
  if (!c->folder)
    return false;
  snprintf(c->folder, size, "%s/%s", c->all->data, c->id);
  return mkdir(c->folder, 0700) == 0 && walls_make_folders(c->folder) == 0;
}

static void on_process_exited(void *arg, int64_t pid, int code) {
  process_exited(arg, pid, code);
}

capsule *capsule_create(capsules *all, const capsule_wishes *wishes) {
  if (all->ending)
    return NULL;
  capsule *c = calloc(1, sizeof(*c));
  if (!c)
    return NULL;
  c->all = all;
  make_id(c->id);
  memcpy(c->template, wishes->template, sizeof(c->template));
  c->vcpus = wishes->vcpus;
  c->memory_mb = wishes->memory_mb;
  c->disk_size_mb = wishes->disk_size_mb;
  c->timeout_sec = wishes->timeout_sec;
  uv_timer_init(all->loop, &c->timer);
  c->timer.data = c;
  c->status = CAPSULE_STARTING;
  c->created = c->updated = time(NULL);
  all->live++;
  if (make_folder(c)) {
    const sandbox_options options = {
        .loop = all->loop,
        .bwrap = all->bwrap,
        .folder = c->folder,
        .agent = all->agent,
        .open_files = all->open_files,
        .hooks = {capsule_ready, on_process_exited, capsule_gone, c},
        .private_network = all->private_network};
    c->box = sandbox_start(&options);
  }
  if (!c->box) {
    capsule_remove_folder(c);
    free_capsule(c);
    return NULL;
  }
  c->labels = wishes->labels;
  link_in(all, c);
  return c;
}

static bool is_idle(const capsule *c, uint64_t now) {
  return c->status == CAPSULE_RUNNING && c->timeout_sec > 0 &&
         (now - c->used) / 1000 >= (uint64_t)c->timeout_sec;
}

static bool is_forgotten(const capsule *c, uint64_t now) {
  return (c->status == CAPSULE_STOPPED || c->status == CAPSULE_ERROR) &&
         now - c->ended > ENDED_KEPT_MS;
}

static void on_reaper(uv_timer_t *timer) {
  capsules *all = timer->data;
  uint64_t now = uv_now(all->loop);
  capsule *next;
  for (capsule *c = all->first; c; c = c->next)
    if (is_idle(c, now))
      capsule_pause(c);
  for (capsule *c = all->last; c && all->count > ENDED_MAX; c = next) {
    next = c->previous;
    if (is_forgotten(c, now)) {
      unlink_it(all, c);
      free_capsule(c);
    }
  }
}

void capsules_start(capsules *all) {
  uv_timer_init(all->loop, &all->reaper);
  all->reaper.data = all;
  uv_timer_start(&all->reaper, on_reaper, REAPER_MS, REAPER_MS);
}

void capsules_end(capsules *all) {
  if (all->ending)
    return;
  all->ending = true;
  uv_close((uv_handle_t *)&all->reaper, NULL);
  for (capsule *c = all->first; c; c = c->next) {
    capsule_destroy(c);
    uv_timer_stop(&c->timer);
    if (c->box)
      sandbox_stop(c->box);
  }
  if (all->live == 0)
    all->all_gone(all->arg);
}

void capsules_free(capsules *all) {
  while (all->first) {
    capsule *c = all->first;
    unlink_it(all, c);
    free_capsule(c);
  }
}
