/* The list of capsules: ids, the table, the search for idle ones, the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/events.h"
#include "model/templates.h"
#include "model/volumes.h"
#include "util/clock.h"
#include "util/path.h"
#include "util/random.h"

#define REAPER_MS 2000
#define MONITOR_MS 15000
/* Of those that have ended for long, the oldest are removed if there are too
 * many. */
#define ENDED_KEPT_MS ((uint64_t)CAPSULE_ENDED_KEPT_S * 1000)
#define ENDED_MAX 10000

/* ---- ids ----------------------------------------------------------------- */

bool capsule_id_ok(const char *id) {
  return strlen(id) == CAPSULE_ID_LEN && strncmp(id, "cl-", 3) == 0 &&
         strspn(id + 3, "0123456789abcdefghijklmnopqrstuvwxyz") ==
             CAPSULE_ID_LEN - 3;
}

static list *bucket_of(capsules *all, const char *id) {
  size_t hash = 0;
  while (*id)
    hash = hash * 31 + (unsigned char)*id++;
  return &all->buckets[hash % CAPSULE_BUCKETS];
}

capsule *capsule_find(capsules *all, const char *id) {
  LIST_EACH (capsule, c, bucket_of(all, id), in_bucket)
    if (strcmp(c->id, id) == 0)
      return c;
  return NULL;
}

/* ---- the list ------------------------------------------------------------ */

void capsule_enlist(capsule *c) {
  capsules *all = c->all;
  list_link *before = all->list.first;
  while (before && LIST_ITEM(before, capsule, link)->created > c->created)
    before = before->next;
  list_prepend(bucket_of(all, c->id), &c->in_bucket);
  list_insert(&all->list, before, &c->link);
  all->count++;
}

static void unlink_it(capsule *c) {
  list_remove(&c->in_bucket);
  list_remove(&c->link);
  c->all->count--;
}

static void on_timer_closed(uv_handle_t *handle) {
  capsule *c = handle->data;
  free(c->metrics.points);
  free(c->labels);
  free(c->had_volumes);
  for (size_t i = 0; c->layers && c->layers[i]; i++)
    free(c->layers[i]);
  free(c->layers);
  free(c->folder);
  free(c->system);
  free(c);
}

void capsule_free(capsule *c) {
  uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

capsule *capsule_new(capsules *all, const char *id, const char *system) {
  capsule *c = calloc(1, sizeof(*c));
  if (!c)
    return NULL;
  c->folder = path_join(all->data, id);
  c->system = system ? strdup(system) : NULL;
  if (!c->folder || (system && !c->system)) {
    free(c->folder);
    free(c->system);
    free(c);
    return NULL;
  }
  c->all = all;
  snprintf(c->id, sizeof(c->id), "%s", id);
  c->box = (box){.site = &all->site,
                 .hooks = {capsule_ready, capsule_gone},
                 .id = c->id,
                 .template = c->template,
                 .folder = c->folder,
                 .system = c->system};
  uv_timer_init(all->site.loop, &c->timer);
  c->timer.data = c;
  return c;
}

bool capsule_start(capsule *c) {
  if (*c->over && !c->below)
    return false;
  char inside[CAPSULE_VOLUMES][VOLUME_MOUNT_SIZE];
  sandbox_bind binds[CAPSULE_VOLUMES];
  for (size_t i = 0; i < c->volume_count; i++) {
    volume_mount_path(c->volumes[i], inside[i]);
    binds[i] = (sandbox_bind){c->volumes[i]->folder, inside[i]};
  }
  c->box.limits = (cgroup_limits){c->memory_mb, c->vcpus};
  return box_start(&c->box, binds, c->volume_count);
}

/* Its folder exists, or is being created. It is recorded before that, so that
 * no folder is ever nobody's. */
static bool begin(capsule *c, const capsule_wishes *wishes) {
  if (wishes->snapshot && c->system && !template_carry(wishes->snapshot, c))
    return false;
  if (!capsule_keep(c))
    return false;
  if (wishes->snapshot && !c->system)
    return capsule_fill(c, wishes->snapshot);
  return mkdir(c->folder, 0700) == 0 && capsule_start(c);
}

capsule *capsule_create(capsules *all, const capsule_wishes *wishes) {
  char id[CAPSULE_ID_LEN + 1] = "cl-";
  random_id(id + 3, CAPSULE_ID_LEN - 3);
  capsule *c = all->ending ? NULL : capsule_new(all, id, wishes->system);
  if (!c)
    return NULL;
  c->team = wishes->team;
  memcpy(c->template, wishes->template, sizeof(c->template));
  c->vcpus = wishes->vcpus;
  c->memory_mb = wishes->memory_mb;
  c->disk_size_mb = wishes->disk_size_mb;
  c->timeout_sec = wishes->timeout_sec;
  c->labels = wishes->labels;
  c->status = c->told = CAPSULE_STARTING;
  c->created = c->updated = time(NULL);
  capsules_hold(all);
  volumes_attach(c, wishes->volumes, wishes->volume_count);
  if (!begin(c, wishes)) {
    volumes_detach(c);
    capsule_remove_folder(c);
    capsule_forget(c);
    c->labels = NULL;
    capsule_free(c);
    return NULL;
  }
  capsule_enlist(c);
  return c;
}

static bool is_idle(const capsule *c, uint64_t now) {
  return c->status == CAPSULE_RUNNING && !c->away && c->timeout_sec > 0 &&
         (now - c->used) / c->all->second_ms >= (uint64_t)c->timeout_sec;
}

static bool is_forgotten(const capsule *c, uint64_t now) {
  return (c->status == CAPSULE_STOPPED || c->status == CAPSULE_ERROR) &&
         now - c->ended > ENDED_KEPT_MS;
}

static void on_reaper(uv_timer_t *timer) {
  capsules *all = timer->data;
  uint64_t now = uv_now(all->site.loop);
  LIST_EACH (capsule, c, &all->list, link)
    if (is_idle(c, now))
      capsule_pause_idle(c);
  list_link *oldest = all->list.last;
  while (oldest && all->count > ENDED_MAX) {
    capsule *c = LIST_ITEM(oldest, capsule, link);
    oldest = oldest->previous;
    if (is_forgotten(c, now)) {
      unlink_it(c);
      capsule_forget(c);
      capsule_free(c);
    }
  }
}

static void on_monitor(uv_timer_t *timer) {
  capsules *all = timer->data;
  LIST_EACH (capsule, c, &all->list, link)
    if (c->away)
      capsule_set_status(c, CAPSULE_PAUSED);
}

/* The settings of the generation that concern boxes. */
static void tell_site(box_site *site, const traits *t) {
  site->login_shell = t->login_shell;
  site->kills_group = t->kills_group;
  site->replays = t->replays;
  site->lists_to_the_end = t->lists_to_the_end;
  site->friendly = t->friendly;
}

void capsules_start(capsules *all) {
  tell_site(&all->site, all->traits);
  uint64_t monitor_ms = clock_ms("WRENN_LOCAL_MONITOR_MS", MONITOR_MS);
  all->second_ms = clock_ms("WRENN_LOCAL_IDLE_SECOND_MS", 1000);
  uv_timer_init(all->site.loop, &all->reaper);
  all->reaper.data = all;
  uv_timer_start(&all->reaper, on_reaper, REAPER_MS, REAPER_MS);
  uv_timer_init(all->site.loop, &all->monitor);
  all->monitor.data = all;
  uv_timer_start(&all->monitor, on_monitor, monitor_ms, monitor_ms);
}

void capsules_end(capsules *all) {
  if (all->ending)
    return;
  all->ending = true;
  uv_close((uv_handle_t *)&all->reaper, NULL);
  uv_close((uv_handle_t *)&all->monitor, NULL);
  capsules_hold(all);
  LIST_EACH (capsule, c, &all->list, link) {
    capsule_destroy(c);
    capsule_stop_now(c);
  }
  capsules_release(all);
}

void capsules_free(capsules *all) {
  LIST_EACH (capsule, c, &all->list, link) {
    unlink_it(c);
    capsule_free(c);
  }
}
