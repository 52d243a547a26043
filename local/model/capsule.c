/* The status of a capsule, and what depends on it. */
#include "model/capsule.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "model/events.h"
#include "model/jobs.h"
#include "model/volumes.h"
#include "util/json_out.h"

/* The minimum time of a change of status, as on a real server. */
#define CHANGE_MS 20
#define MIB ((int64_t)1024 * 1024)

const char *capsule_status_text(const capsules *all, capsule_status status) {
  static const char *const names[] = {
      [CAPSULE_STARTING] = "starting", [CAPSULE_RUNNING] = "running",
      [CAPSULE_PAUSING] = "pausing",   [CAPSULE_PAUSED] = "paused",
      [CAPSULE_RESUMING] = "resuming", [CAPSULE_SNAPSHOTTING] = "snapshotting",
      [CAPSULE_STOPPING] = "stopping", [CAPSULE_STOPPED] = "stopped",
      [CAPSULE_ERROR] = "error"};
  if (status == CAPSULE_SNAPSHOTTING && all->generation < GENERATION_0_2_2)
    status = CAPSULE_PAUSING; /* these have no other name for it */
  return names[status];
}

const char *capsule_status_name(const capsule *c) {
  return capsule_status_text(c->all, c->status);
}

static void put_time(wrenn_buf *out, const char *name, time_t when) {
  if (when)
    json_time(out, name, when);
}

/* Appends the version keys in alphabetical order. */
static void put_versions(const traits *t, wrenn_buf *out) {
  bool late = strcmp(t->vmm_key, "kernel_version") > 0;
  json_text(out, "agent_version", "local");
  json_text(out, "envd_version", "local");
  if (!late)
    json_text(out, t->vmm_key, "local");
  json_text(out, "kernel_version", "host");
  if (late)
    json_text(out, t->vmm_key, "local");
}

static void put_metadata(const capsule *c, wrenn_buf *out) {
  if (!c->started && !c->labels)
    return;
  json_object(out, "metadata");
  if (c->started)
    put_versions(c->all->traits, out);
  if (c->labels)
    json_written(out, c->labels, strlen(c->labels));
  json_object_end(out);
}

static void put_members(const capsule *c, wrenn_buf *out) {
  json_text(out, "id", c->id);
  json_text(out, "status", capsule_status_name(c));
  json_text(out, "template", c->template);
  json_int(out, "vcpus", c->vcpus);
  json_int(out, "memory_mb", c->memory_mb);
  json_int(out, "timeout_sec", c->timeout_sec);
  if (c->all->traits->shows_host_ip && c->started)
    json_text(out, "host_ip", CAPSULE_HOST_IP);
  if (c->all->traits->shows_disk_size)
    json_int(out, "disk_size_mb", c->disk_size_mb);
  put_time(out, "created_at", c->created);
  put_time(out, "started_at", c->started);
  put_time(out, "last_active_at", c->active);
  put_time(out, "last_updated", c->updated);
  put_metadata(c, out);
}

void capsule_put(const capsule *c, const char *name, wrenn_buf *out) {
  json_object(out, name);
  put_members(c, out);
  json_object_end(out);
}

/* The disk usage comes from the metrics. */
void capsule_put_alone(const capsule *c, wrenn_buf *out) {
  int64_t bytes =
      c->metrics.count ? c->metrics.points[c->metrics.count - 1].disk_bytes : 0;
  json_object(out, NULL);
  put_members(c, out);
  if (c->all->traits->shows_disk_usage)
    json_int(out, "disk_used_mb", (bytes + MIB - 1) / MIB);
  json_object_end(out);
}

/* ---- watchers ------------------------------------------------------------ */

void capsule_watch(capsule *c, capsule_watcher *w) {
  w->from = c->status;
  list_prepend(&c->watchers, &w->link);
}

void capsule_unwatch(capsule_watcher *w) { list_remove(&w->link); }

static capsule_watcher *find_due(const capsule *c) {
  LIST_EACH (capsule_watcher, w, &c->watchers, link)
    if (w->from != c->status)
      return w;
  return NULL;
}

/* Starts again after each call, as it may remove other watchers. */
static void tell_watchers(capsule *c) {
  capsule_watcher *w;
  while ((w = find_due(c))) {
    capsule_unwatch(w);
    w->left(w);
  }
}

/* ---- sessions ------------------------------------------------------------ */

void session_join(capsule *c, session *s) {
  list_prepend(&c->sessions, &s->link);
}

void session_leave(session *s) { list_remove(&s->link); }

void capsule_cut(capsule *c) {
  session *s;
  while ((s = LIST_ITEM(list_pop(&c->sessions), session, link)))
    s->cut(s);
}

/* ---- folders ------------------------------------------------------------- */

void capsules_hold(capsules *all) { all->live++; }

void capsules_release(capsules *all) {
  all->live--;
  if (all->ending && all->live == 0)
    all->all_gone(all->arg);
}

void capsule_remove_folder(capsule *c) {
  bool stays = c->all->ending && c->all->keep_data;
  if (!stays && c->folder) {
    job_remove(c->all, c->folder);
    c->folder = NULL;
    c->box.folder = "";
    capsule_alight(c);
  }
  capsules_release(c->all);
}

/* ---- status -------------------------------------------------------------- */

bool capsule_is_over(const capsule *c) {
  return c->status == CAPSULE_STOPPING || c->status == CAPSULE_STOPPED ||
         c->status == CAPSULE_ERROR;
}

/* The next server has to know of an end before anybody is told. It takes up
 * all others as paused. */
void capsule_set_status(capsule *c, capsule_status status) {
  capsule_status before = c->told;
  c->away = false;
  c->status = c->told = status;
  c->updated = time(NULL);
  if ((status == CAPSULE_RUNNING || capsule_is_over(c)) && !c->all->ending)
    capsule_keep(c);
  volumes_follow(c);
  events_changed(c->all->events, c, before);
  tell_watchers(c);
}

static void change_later(capsule *c, uv_timer_cb change) {
  uv_timer_start(&c->timer, change, CHANGE_MS, 0);
}

/* The API shows whole seconds: an update gets a later time, even within the
 * same second. */
static void on_started(uv_timer_t *timer) {
  capsule *c = timer->data;
  time_t now = time(NULL);
  c->started = now > c->started ? now : c->started + 1;
  c->afresh = false;
  capsule_touch(c);
  capsule_set_status(c, CAPSULE_RUNNING);
}

static capsule *capsule_of(box *b) {
  return (capsule *)((char *)b - offsetof(capsule, box));
}

void capsule_ready(box *b) {
  capsule *c = capsule_of(b);
  if (c->status == CAPSULE_STARTING || c->status == CAPSULE_RESUMING)
    change_later(c, on_started);
}

/* It remains what it was, with its files. */
static void on_not_resumed(uv_timer_t *timer) {
  capsule *c = timer->data;
  volumes_detach(c);
  capsule_set_status(c, CAPSULE_PAUSED);
}

void capsule_gone(box *b) {
  capsule *c = capsule_of(b);
  bool meant = c->status == CAPSULE_STOPPING;
  uv_timer_stop(&c->timer);
  if (c->afresh && c->status == CAPSULE_RESUMING) {
    box_end(b);
    change_later(c, on_not_resumed);
    return;
  }
  c->ended = uv_now(c->all->site.loop);
  c->status = meant ? CAPSULE_STOPPED : CAPSULE_ERROR;
  capsule_cut(c);
  box_end(b);
  capsule_set_status(c, c->status);
  capsule_remove_folder(c);
}

static void on_paused(uv_timer_t *timer) {
  capsule_set_status(timer->data, CAPSULE_PAUSED);
}

static void after_pause(void *arg, const sandbox_reply *reply) {
  capsule *c = arg;
  if (c->status != CAPSULE_PAUSING)
    return;
  if (reply->error)
    capsule_set_status(c, CAPSULE_RUNNING);
  else
    change_later(c, on_paused);
}

static void after_resume(void *arg, const sandbox_reply *reply) {
  capsule *c = arg;
  if (c->status != CAPSULE_RESUMING)
    return;
  if (reply->error)
    capsule_set_status(c, CAPSULE_PAUSED);
  else
    change_later(c, on_started);
}

bool capsule_order(capsule *c, const char *order, sandbox_done *done) {
  wrenn_buf message = {0};
  json_text(&message, "op", order);
  bool sent = box_order(&c->box, &message, done, c);
  wrenn_buf_free(&message);
  return sent;
}

void capsule_pause(capsule *c) {
  c->idle = false;
  capsule_set_status(c, CAPSULE_PAUSING);
  capsule_cut(c);
  capsule_order(c, "pause", after_pause);
}

static void after_leaving(void *arg, const sandbox_reply *reply) {
  (void)arg;
  (void)reply;
}

void capsule_pause_idle(capsule *c) {
  if (c->all->traits->pauses_unseen) {
    c->away = true;
    capsule_cut(c);
    capsule_order(c, "pause", after_leaving);
  } else {
    capsule_pause(c);
  }
  c->idle = true;
}

void capsule_resume(capsule *c) {
  capsule_set_status(c, CAPSULE_RESUMING);
  c->afresh = !c->box.sandbox;
  if (!c->afresh)
    capsule_order(c, "resume", after_resume);
  else if (!volumes_return(c) || !capsule_start(c))
    change_later(c, on_not_resumed);
}

void capsule_stop_now(capsule *c) {
  uv_timer_stop(&c->timer);
  if (c->box.sandbox)
    box_stop(&c->box);
  else if (c->status == CAPSULE_STOPPING && !capsule_is_filling(c))
    capsule_gone(&c->box);
}

static void on_stop_due(uv_timer_t *timer) { capsule_stop_now(timer->data); }

bool capsule_destroy(capsule *c) {
  if (capsule_is_over(c))
    return false;
  capsule_set_status(c, CAPSULE_STOPPING);
  capsule_cut(c);
  capsule_copy_stop(c);
  change_later(c, on_stop_due);
  return true;
}

void capsule_touch(capsule *c) {
  c->active = time(NULL);
  c->used = uv_now(c->all->site.loop);
}

/* ---- metrics ------------------------------------------------------------- */

void capsule_add_point(capsule *c, const capsule_point *point) {
  if (!c->metrics.points)
    c->metrics.points = calloc(CAPSULE_POINTS, sizeof(*c->metrics.points));
  if (!c->metrics.points)
    return;
  if (c->metrics.count == CAPSULE_POINTS) {
    c->metrics.count--;
    memmove(c->metrics.points, c->metrics.points + 1,
            c->metrics.count * sizeof(*c->metrics.points));
  }
  c->metrics.points[c->metrics.count++] = *point;
}
