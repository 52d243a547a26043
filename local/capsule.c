#include "capsule.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "process.h"

/* How long a change of status takes at least, as on a real server. */
#define CHANGE_MS 20
#define REAPER_MS 2000

/* ---- ids and times ------------------------------------------------------- */

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
  struct tm utc;
  if (!when || !gmtime_r(&when, &utc))
    return;
  strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  wrenn_buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

void capsule_put(const capsule *c, wrenn_buf *out) {
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
  if (c->started)
    wrenn_buf_puts(out, ",\"metadata\":{\"agent_version\":\"local\","
                        "\"envd_version\":\"local\",\"kernel_version\":"
                        "\"host\",\"vmm_version\":\"local\"}");
  wrenn_buf_printf(out, ",\"disk_size_mb\":%lld}", (long long)c->disk_size_mb);
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

static int remove_one(const char *path, const struct stat *info, int kind,
                      struct FTW *where) {
  (void)where;
  if (kind == FTW_DNR) /* one that nobody may read: for the second round */
    chmod(path, info->st_mode | 0700);
  else
    remove(path);
  return 0;
}

static void run_removal(uv_work_t *work) {
  removal *r = work->data;
  nftw(r->folder, remove_one, 32, FTW_DEPTH | FTW_PHYS);
  nftw(r->folder, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static void after_removal(uv_work_t *work, int status) {
  removal *r = work->data;
  (void)status;
  one_less(r->all);
  free(r->folder);
  free(r);
}

static void remove_folder(capsule *c) {
  removal *r = calloc(1, sizeof(*r));
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

static bool make_folder(capsule *c) {
  static const char *const names[] = {"root", "tmp", "home", "mnt", "vartmp"};
  char path[600];
  size_t size = strlen(c->all->data) + CAPSULE_ID_LEN + 2;
  c->folder = malloc(size);
  if (!c->folder)
    return false;
  snprintf(c->folder, size, "%s/%s", c->all->data, c->id);
  if (mkdir(c->folder, 0700))
    return false;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    int len = snprintf(path, sizeof(path), "%s/%s", c->folder, names[i]);
    if (len < 0 || (size_t)len >= sizeof(path) || mkdir(path, 0755))
      return false;
    if (strstr(names[i], "tmp"))
      chmod(path, 01777);
  }
  return true;
}

/* ---- status -------------------------------------------------------------- */

static void set_status(capsule *c, capsule_status status) {
  c->status = status;
  c->updated = time(NULL);
}

static void change_later(capsule *c, uv_timer_cb change) {
  uv_timer_start(&c->timer, change, CHANGE_MS, 0);
}

static void on_started(uv_timer_t *timer) {
  capsule *c = timer->data;
  set_status(c, CAPSULE_RUNNING);
  c->started = time(NULL);
  capsule_touch(c);
}

static void on_ready(void *arg) {
  capsule *c = arg;
  if (c->status == CAPSULE_STARTING)
    change_later(c, on_started);
}

static void on_process_exited(void *arg, int64_t pid, int code) {
  process_exited(arg, pid, code);
}

static void on_gone(void *arg) {
  capsule *c = arg;
  bool meant = c->status == CAPSULE_STOPPING;
  uv_timer_stop(&c->timer);
  set_status(c, meant ? CAPSULE_STOPPED : CAPSULE_ERROR);
  cut_sessions(c);
  processes_end(c);
  sandbox_free(c->box);
  c->box = NULL;
  remove_folder(c);
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

void capsule_touch(capsule *c) { c->active = time(NULL); }

/* ---- the list ------------------------------------------------------------ */

capsule *capsule_find(const capsules *all, const char *id) {
  capsule *c = all->first;
  while (c && strcmp(c->id, id) != 0)
    c = c->next;
  return c;
}

static void on_timer_closed(uv_handle_t *handle) {
  capsule *c = handle->data;
  free(c->folder);
  free(c);
}

static void free_capsule(capsule *c) {
  uv_close((uv_handle_t *)&c->timer, on_timer_closed);
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
  set_status(c, CAPSULE_STARTING);
  c->created = c->updated;
  all->live++;
  if (make_folder(c)) {
    const sandbox_options options = {
        .loop = all->loop,
        .folder = c->folder,
        .agent = all->agent,
        .hostname = "capsule",
        .bwrap = all->bwrap,
        .hooks = {on_ready, on_process_exited, on_gone, c}};
    c->box = sandbox_start(&options);
  }
  if (!c->box) {
    remove_folder(c);
    free_capsule(c);
    return NULL;
  }
  c->next = all->first;
  all->first = c;
  return c;
}

static bool is_idle(const capsule *c, time_t now) {
  return c->status == CAPSULE_RUNNING && c->timeout_sec > 0 &&
         now - c->active >= c->timeout_sec;
}

static void on_reaper(uv_timer_t *timer) {
  capsules *all = timer->data;
  time_t now = time(NULL);
  for (capsule *c = all->first; c; c = c->next)
    if (is_idle(c, now))
      capsule_pause(c);
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
    capsule *next = all->first->next;
    free_capsule(all->first);
    all->first = next;
  }
}
