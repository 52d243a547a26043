/* What is left of the capsules when a server ends, in whatever way, and is
 * taken up by the next one in the same data folder: records in a folder beside
 * theirs, which nothing in a capsule reaches. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/capsule.h"
#include "model/jobs.h"
#include "model/record.h"
#include "model/templates.h"
#include "model/volumes.h"
#include "util/json_out.h"
#include "util/path.h"
#include "util/tree.h"

#define RECORDS "capsules"

/* ---- writing ------------------------------------------------------------- */

static char *record_of(const capsule *c) {
  char *above = path_join(c->all->data, RECORDS);
  char *path = above ? path_join(above, c->id) : NULL;
  free(above);
  return path;
}

static void put_volumes(const capsule *c, wrenn_buf *out) {
  char ids[CAPSULE_VOLUMES * (VOLUME_ID_LEN + 1) + 1] = "";
  size_t len = 0;
  for (size_t i = 0; i < c->volume_count; i++)
    len += (size_t)snprintf(ids + len, sizeof(ids) - len, "%s%s",
                            i > 0 ? " " : "", c->volumes[i]->id);
  if (len > 0 || c->had_volumes)
    json_text(out, "volumes", len > 0 ? ids : c->had_volumes);
}

static void put_record(const capsule *c, wrenn_buf *out) {
  json_object(out, NULL);
  json_text(out, "end",
            c->status == CAPSULE_ERROR ? "error"
            : capsule_is_over(c)       ? "stopped"
                                       : "");
  json_int(out, "team", c->team);
  json_text(out, "template", c->template);
  json_int(out, "vcpus", c->vcpus);
  json_int(out, "memory_mb", c->memory_mb);
  json_int(out, "disk_size_mb", c->disk_size_mb);
  json_int(out, "timeout_sec", c->timeout_sec);
  json_int(out, "created", c->created);
  json_int(out, "started", c->started);
  json_int(out, "active", c->active);
  json_int(out, "updated", c->updated);
  put_volumes(c, out);
  if (c->system)
    json_text(out, "system", c->system);
  if (*c->over)
    json_text(out, "over", c->over);
  if (c->labels) {
    json_object(out, "labels");
    json_written(out, c->labels, strlen(c->labels));
    json_object_end(out);
  }
  json_object_end(out);
  wrenn_buf_puts(out, "\n");
}

/* One that has ended must not come back: if that cannot be written, nothing is
 * left of it. */
bool capsule_keep(const capsule *c) {
  wrenn_buf text = {0};
  if (!c->all->keep_data)
    return true;
  char *path = record_of(c);
  put_record(c, &text);
  bool ok = path && (mkdir(path, 0700) == 0 || errno == EEXIST) &&
            record_write(path, &text, true);
  if (!ok && path && capsule_is_over(c))
    record_drop(path, true);
  free(path);
  wrenn_buf_free(&text);
  return ok;
}

void capsule_forget(const capsule *c) {
  char *path = c->all->keep_data ? record_of(c) : NULL;
  if (path)
    tree_remove(path);
  free(path);
}

/* ---- reading ------------------------------------------------------------- */

static char *read_labels(const wrenn_json *record) {
  wrenn_json object;
  if (!wrenn_json_get(record, "labels", &object) ||
      object.type != WRENN_JSON_OBJECT)
    return NULL;
  return strndup(object.text + 1, object.len - 2); /* without the braces */
}

static char *read_volumes(const wrenn_json *record) {
  char ids[CAPSULE_VOLUMES * (VOLUME_ID_LEN + 1) + 1];
  record_text(record, "volumes", ids, sizeof(ids));
  return *ids ? strdup(ids) : NULL;
}

static void read_numbers(capsule *c, const wrenn_json *record) {
  c->team = (int)record_number(record, "team");
  c->vcpus = record_number(record, "vcpus");
  c->memory_mb = record_number(record, "memory_mb");
  c->disk_size_mb = record_number(record, "disk_size_mb");
  c->timeout_sec = record_number(record, "timeout_sec");
  c->created = (time_t)record_number(record, "created");
  c->started = (time_t)record_number(record, "started");
  c->active = (time_t)record_number(record, "active");
  c->updated = (time_t)record_number(record, "updated");
}

static bool is_folder(const char *path) {
  struct stat info;
  return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* What it may have left goes away. */
static void take_up_ended(capsule *c, bool failed) {
  time_t age = time(NULL) - c->updated;
  c->status = c->told = failed ? CAPSULE_ERROR : CAPSULE_STOPPED;
  c->ended = uv_now(c->all->site.loop) - (uint64_t)age * 1000;
  job_remove(c->all, capsule_filling_path(c));
  job_remove(c->all, c->folder);
  c->folder = NULL;
  c->box.folder = "";
  if (age > CAPSULE_ENDED_KEPT_S) {
    capsule_forget(c);
    capsule_free(c);
  } else {
    capsule_enlist(c);
  }
}

static void find_below(capsule *c) {
  template *t = template_in(c->all->templates, c->over);
  if (!t || !template_carry(t, c)) {
    fprintf(stderr,
            "wrenn-local: %s lacks the snapshot that it lies over, %s\n", c->id,
            c->over);
    capsule_alight(c);
  }
}

static void take_up(capsule *c) {
  if (*c->over)
    find_below(c);
  c->status = c->told = CAPSULE_PAUSED;
  c->updated = time(NULL);
  if (c->started == 0) /* it was about to */
    c->started = c->active = c->created;
  capsules_hold(c->all);
  capsule_enlist(c);
}

static void on_found(void *arg, char *path, const wrenn_json *record) {
  char end[16], system[PATH_MAX];
  record_text(record, "system", system, sizeof(system));
  capsule *c =
      capsule_new(arg, strrchr(path, '/') + 1, *system ? system : NULL);
  free(path);
  if (!c)
    return;
  record_text(record, "end", end, sizeof(end));
  record_text(record, "template", c->template, sizeof(c->template));
  read_numbers(c, record);
  c->labels = read_labels(record);
  c->had_volumes = read_volumes(record);
  record_text(record, "over", c->over, sizeof(c->over));
  if (*end) {
    take_up_ended(c, strcmp(end, "error") == 0);
  } else if (is_folder(c->folder)) {
    take_up(c);
  } else { /* its files were still being copied, or somebody has removed them */
    c->updated = time(NULL);
    c->status = CAPSULE_ERROR;
    capsule_keep(c);
    take_up_ended(c, true);
  }
}

bool capsules_take_up(capsules *all) {
  char *above = all->keep_data ? path_join(all->data, RECORDS) : NULL;
  int unread = above ? record_each(above, capsule_id_ok, on_found, all)
               : all->keep_data ? -1
                                : 0;
  free(above);
  all->templates->unsure |= unread > 0;
  templates_clear(all->templates);
  return unread >= 0;
}
