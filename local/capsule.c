/* A capsule's status, and what depends on it. */
#include "capsule.h"

#include <stdlib.h>
#include <string.h>

#include "jupyter.h"
#include "process.h"
#include "stats.h"
#include "tree.h"

/* How long a change of status takes at least, as on a real server. */
#define CHANGE_MS 20
#define MIB ((int64_t)1024 * 1024)

const char *capsule_status_name(const capsule *c) {
  static const char *const names[] = {
      [CAPSULE_STARTING] = "starting", [CAPSULE_RUNNING] = "running",
      [CAPSULE_PAUSING] = "pausing",   [CAPSULE_PAUSED] = "paused",
      [CAPSULE_RESUMING] = "resuming", [CAPSULE_STOPPING] = "stopping",
      [CAPSULE_STOPPED] = "stopped",   [CAPSULE_ERROR] = "error"};
  return names[c->status];
}

static void put_time(wrenn_buf *out, const char *name, time_t when) {
  char text[32];
  if (!when)
    return;
  stats_time(text, when);
  wrenn_buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static void put_metadata(const capsule *c, wrenn_buf *out) {
  if (!c->started && !c->labels)
    return;
  wrenn_buf_puts(out, ",\"metadata\":{");
  if (c->started)
    wrenn_buf_printf(out,
                     "\"agent_version\":\"local\",\"envd_version\":"
                     "\"local\",\"kernel_version\":\"host\",\"%s\":"
                     "\"local\"",
                     c->all->traits->vmm_key);
  if (c->labels)
    wrenn_buf_printf(out, "%s%s", c->started ? "," : "", c->labels);
  wrenn_buf_puts(out, "}");
}

static void put_members(const capsule *c, wrenn_buf *out) {
  wrenn_buf_printf(out,
                   "{\"id\":\"%s\",\"status\":\"%s\",\"template\":\"%s\","
                   "\"vcpus\":%lld,\"memory_mb\":%lld,\"timeout_sec\":%lld",
                   c->id, capsule_status_name(c), c->template,
                   (long long)c->vcpus, (long long)c->memory_mb,
                   (long long)c->timeout_sec);
  put_time(out, "created_at", c->created);
  put_time(out, "started_at", c->started);
  put_time(out, "last_active_at", c->active);
  put_time(out, "last_updated", c->updated);
  put_metadata(c, out);
  if (c->all->traits->shows_disk_size)
    wrenn_buf_printf(out, ",\"disk_size_mb\":%lld", (long long)c->disk_size_mb);
}

void capsule_put(const capsule *c, wrenn_buf *out) {
  put_members(c, out);
  wrenn_buf_puts(out, "}");
}

/* How much of the disk is used, the metrics know. */
void capsule_put_alone(const capsule *c, wrenn_buf *out) {
  int64_t bytes =
      c->metrics.count ? c->metrics.points[c->metrics.count - 1].disk_bytes : 0;
  put_members(c, out);
  if (c->all->traits->shows_disk_usage)
    wrenn_buf_printf(out, ",\"disk_used_mb\":%lld",
                     (long long)((bytes + MIB - 1) / MIB));
  wrenn_buf_puts(out, "}");
}

/* ---- watchers ------------------------------------------------------------ */

void capsule_watch(capsule *c, capsule_watcher *w) {
  w->from = c->status;
  w->next = c->watchers;
  c->watchers = w;
}

void capsule_unwatch(capsule *c, capsule_watcher *w) {
  capsule_watcher **at = &c->watchers;
  while (*at && *at != w)
    at = &(*at)->next;
  if (*at)
    *at = w->next;
}

/* From the start again after each: who is told may make others leave. */
static void tell_watchers(capsule *c) {
  capsule_watcher *w = c->watchers;
  while (w) {
    if (w->from == c->status) {
      w = w->next;
      continue;
    }
    capsule_unwatch(c, w);
    w->left(w);
    w = c->watchers;
  }
}

/* ---- sessions ------------------------------------------------------------ */

void session_join(capsule *c, session *s) {
  s->next = c->sessions.next;
  s->previous = &c->sessions;
  if (s->next)
    s->next->previous = s;
  c->sessions.next = s;
}

void session_leave(session *s) {
  if (s->previous)
    s->previous->next = s->next;
  if (s->next)
    s->next->previous = s->previous;
  s->next = s->previous = NULL;
}

static void cut_sessions(capsule *c) {
  while (c->sessions.next) {
    session *s = c->sessions.next;
    session_leave(s);
    s->cut(s);
  }
}

/* ---- folders ------------------------------------------------------------- */

typedef struct removal {
  uv_work_t work;
  capsules *all;
  char *folder;
} removal;

static void one_less(capsules *all) {
  all->live--;
  if (all->ending && all->live == 0)
    all->all_gone(all->arg);
}

static void run_removal(uv_work_t *work) {
  removal *r = work->data;
  tree_remove(r->folder);
}

static void after_removal(uv_work_t *work, int status) {
  removal *r = work->data;
  (void)status;
  one_less(r->all);
  free(r->folder);
  free(r);
}

void capsule_remove_folder(capsule *c) {
  bool stays = c->all->ending && c->all->keep_data;
  removal *r = stays ? NULL : calloc(1, sizeof(*r));
  if (!r || !c->folder) {
    free(r);
    one_less(c->all);
    return;
  }
  r->work.data = r;
  r->all = c->all;
  r->folder = c->folder;
  c->folder = NULL;
  if (uv_queue_work(c->all->loop, &r->work, run_removal, after_removal))
    after_removal(&r->work, 0);
}

/* ---- status -------------------------------------------------------------- */

static void set_status(capsule *c, capsule_status status) {
  c->status = status;
  c->updated = time(NULL);
  tell_watchers(c);
}

static void change_later(capsule *c, uv_timer_cb change) {
  uv_timer_start(&c->timer, change, CHANGE_MS, 0);
}

/* Times are told in whole seconds: one that was renewed is a later one, also
 * within the same. */
static void on_started(uv_timer_t *timer) {
  capsule *c = timer->data;
  time_t now = time(NULL);
  c->started = now > c->started ? now : c->started + 1;
  capsule_touch(c);
  set_status(c, CAPSULE_RUNNING);
}

void capsule_ready(void *arg) {
  capsule *c = arg;
  jupyter_start(c);
  if (c->status == CAPSULE_STARTING)
    change_later(c, on_started);
}

void capsule_gone(void *arg) {
  capsule *c = arg;
  bool meant = c->status == CAPSULE_STOPPING;
  uv_timer_stop(&c->timer);
  c->ended = uv_now(c->all->loop);
  c->status = meant ? CAPSULE_STOPPED : CAPSULE_ERROR;
  cut_sessions(c);
  processes_end(c);
  sandbox_free(c->box);
  c->box = NULL;
  set_status(c, c->status);
  capsule_remove_folder(c);
}

static void on_paused(uv_timer_t *timer) {
  set_status(timer->data, CAPSULE_PAUSED);
}

static void after_pause(void *arg, const sandbox_reply *reply) {
  capsule *c = arg;
  if (c->status != CAPSULE_PAUSING)
    return;
  if (reply->error)
    set_status(c, CAPSULE_RUNNING);
  else
    change_later(c, on_paused);
}

static void after_resume(void *arg, const sandbox_reply *reply) {
  capsule *c = arg;
  if (c->status != CAPSULE_RESUMING)
    return;
  if (reply->error)
    set_status(c, CAPSULE_PAUSED);
  else
    change_later(c, on_started);
}

static bool order(capsule *c, const char *text, sandbox_done *done) {
  wrenn_buf message = {0};
  wrenn_buf_puts(&message, text);
  bool sent = c->box && sandbox_order(c->box, &message, done, c);
  wrenn_buf_free(&message);
  return sent;
}

void capsule_pause(capsule *c) {
  set_status(c, CAPSULE_PAUSING);
  cut_sessions(c);
  order(c, "{\"op\":\"pause\"}", after_pause);
}

void capsule_resume(capsule *c) {
  set_status(c, CAPSULE_RESUMING);
  order(c, "{\"op\":\"resume\"}", after_resume);
}

static void on_stop_due(uv_timer_t *timer) {
  capsule *c = timer->data;
  if (c->box)
    sandbox_stop(c->box);
}

void capsule_destroy(capsule *c) {
  if (c->status == CAPSULE_STOPPING || c->status == CAPSULE_STOPPED ||
      c->status == CAPSULE_ERROR)
    return;
  set_status(c, CAPSULE_STOPPING);
  cut_sessions(c);
  change_later(c, on_stop_due);
}

void capsule_touch(capsule *c) {
  c->active = time(NULL);
  c->used = uv_now(c->all->loop);
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
