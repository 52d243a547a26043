#include "model/volumes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "json.h"
#include "model/jobs.h"
#include "model/record.h"
#include "model/team.h"
#include "util/json_out.h"
#include "util/path.h"
#include "util/random.h"

#define PREFIX "vl-"

/* ---- the list ------------------------------------------------------------ */

static void free_volume(volume *v) {
  free(v->home);
  free(v->folder);
  free(v);
}

static void link_in(volumes *all, volume *v) {
  list_link *before = all->list.first;
  while (before && LIST_ITEM(before, volume, link)->created > v->created)
    before = before->next;
  v->all = all;
  list_insert(&all->list, before, &v->link);
}

static bool id_ok(const char *id) {
  return strlen(id) == VOLUME_ID_LEN && strncmp(id, "vol-", 4) == 0 &&
         strspn(id + 4, "0123456789abcdefghijklmnopqrstuvwxyz") ==
             VOLUME_ID_LEN - 4;
}

static void on_found(void *arg, char *path, const wrenn_json *record) {
  char name[VOLUME_NAME_MAX + 1];
  volume *v = calloc(1, sizeof(*v));
  if (!v) {
    free(path);
    return;
  }
  v->home = path;
  v->folder = path_join(path, "data");
  record_text(record, "id", v->id, sizeof(v->id));
  record_text(record, "name", v->name, sizeof(v->name));
  v->team = (int)record_number(record, "team");
  v->size_mb = record_number(record, "size_mb");
  v->created = (time_t)record_number(record, "created");
  v->attached = (time_t)record_number(record, "attached");
  if (v->folder && id_ok(v->id) && volume_read_name(v->name, name) &&
      !volume_find(arg, v->team, v->id) && !volume_find(arg, v->team, v->name))
    link_in(arg, v);
  else
    free_volume(v);
}

bool volumes_open(volumes *all, capsules *capsules) {
  *all = (volumes){.capsules = capsules};
  char *above = path_join(capsules->data, "volumes");
  bool ok = above && record_each(above, id_ok, on_found, all) >= 0;
  free(above);
  return ok;
}

void volumes_free(volumes *all) {
  LIST_EACH (volume, v, &all->list, link)
    free_volume(v);
  all->list = (list){0};
}

volume *volume_find(const volumes *all, int team, const char *ref) {
  char name[VOLUME_NAME_MAX + 1];
  bool named = volume_read_name(ref, name);
  LIST_EACH (volume, v, &all->list, link)
    if (v->team == team &&
        (strcmp(v->id, ref) == 0 || (named && strcmp(v->name, name) == 0)))
      return v;
  return NULL;
}

/* ---- what is asked for --------------------------------------------------- */

bool volume_read_size(const char *text, int64_t *size_mb) {
  static const struct {
    const char *unit;
    int64_t mb;
  } units[] = {{"", 1}, {"M", 1}, {"Mi", 1}, {"G", 1024}, {"Gi", 1024}};
  char *end;
  if (*text < '0' || *text > '9')
    return false;
  long long number = strtoll(text, &end, 10);
  for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
    if (strcmp(units[i].unit, end) == 0 && number <= VOLUME_MAX_MB) {
      *size_mb = number * units[i].mb;
      return true;
    }
  return false;
}

bool volume_read_name(const char *given, char name[VOLUME_NAME_MAX + 1]) {
  size_t prefix = strncasecmp(given, PREFIX, 3) == 0 ? 0 : 3;
  size_t len = prefix + strlen(given);
  if (len <= 3 || len > VOLUME_NAME_MAX)
    return false;
  memcpy(name, PREFIX, prefix);
  memcpy(name + prefix, given, len - prefix + 1);
  for (char *at = name; *at; at++) {
    if (*at >= 'A' && *at <= 'Z')
      *at = (char)(*at - 'A' + 'a');
    bool word = (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9');
    if (!word && (*at != '-' || at[1] == '-' || at[1] == '\0'))
      return false;
  }
  return name[3] != '-';
}

/* ---- one of them --------------------------------------------------------- */

static bool save(const volume *v) {
  wrenn_buf text = {0};
  json_object(&text, NULL);
  json_text(&text, "id", v->id);
  json_text(&text, "name", v->name);
  json_int(&text, "team", v->team);
  json_int(&text, "size_mb", v->size_mb);
  json_int(&text, "created", v->created);
  json_int(&text, "attached", v->attached);
  json_object_end(&text);
  wrenn_buf_puts(&text, "\n");
  bool ok = record_write(v->home, &text, v->all->capsules->keep_data);
  wrenn_buf_free(&text);
  return ok;
}

/* Creates its folder on the host; every user in the capsule may write to what
 * is mounted. */
static bool make_folders(volume *v) {
  char name[VOLUME_ID_LEN + 10];
  snprintf(name, sizeof(name), "volumes/%s", v->id);
  v->home = path_join(v->all->capsules->data, name);
  v->folder = v->home ? path_join(v->home, "data") : NULL;
  return v->folder && mkdir(v->home, 0700) == 0 &&
         mkdir(v->folder, 0777) == 0 && chmod(v->folder, 0777) == 0;
}

volume *volume_make(volumes *all, int team, const char *name, int64_t size_mb) {
  volume *v = calloc(1, sizeof(*v));
  if (!v)
    return NULL;
  strcpy(v->id, "vol-");
  random_id(v->id + 4, VOLUME_ID_LEN - 4);
  if (name)
    snprintf(v->name, sizeof(v->name), "%s", name);
  else
    snprintf(v->name, sizeof(v->name), PREFIX "%s", v->id + 4);
  v->team = team;
  v->size_mb = size_mb;
  v->created = time(NULL);
  v->all = all;
  if (!make_folders(v) || !save(v)) {
    if (v->home)
      job_remove(all->capsules, strdup(v->home));
    free_volume(v);
    return NULL;
  }
  link_in(all, v);
  return v;
}

void volume_remove(volume *v) {
  list_remove(&v->link);
  record_drop(v->home, v->all->capsules->keep_data);
  job_remove(v->all->capsules, v->home);
  v->home = NULL;
  free_volume(v);
}

void volume_mount_path(const volume *v, char path[VOLUME_MOUNT_SIZE]) {
  snprintf(path, VOLUME_MOUNT_SIZE, "/mnt/%s", v->id);
}

/* ---- capsules ------------------------------------------------------------ */

void volumes_attach(capsule *c, volume *const *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    volume *v = list[i];
    v->status = VOLUME_ATTACHING;
    v->of = c;
    v->attached = time(NULL);
    save(v);
    c->volumes[i] = v;
  }
  c->volume_count = count;
}

void volumes_detach(capsule *c) {
  for (size_t i = 0; i < c->volume_count; i++) {
    c->volumes[i]->status = VOLUME_DETACHED;
    c->volumes[i]->of = NULL;
  }
  c->volume_count = 0;
}

bool volumes_return(capsule *c) {
  volume *list[CAPSULE_VOLUMES];
  size_t count = 0;
  const char *at = c->had_volumes ? c->had_volumes : "";
  for (; *at && count < CAPSULE_VOLUMES; at += strspn(at, " ")) {
    char id[VOLUME_ID_LEN + 1];
    size_t len = strcspn(at, " ");
    snprintf(id, sizeof(id), "%.*s", (int)len, at);
    at += len;
    volume *v = volume_find(c->all->volumes, c->team, id);
    if (v && v->status != VOLUME_DETACHED) {
      fprintf(stderr, "wrenn-local: %s is not resumed: %s has its volume %s\n",
              c->id, v->of->id, v->name);
      return false;
    }
    if (v)
      list[count++] = v;
  }
  volumes_attach(c, list, count);
  return true;
}

void volumes_follow(capsule *c) {
  if (c->status == CAPSULE_STOPPED || c->status == CAPSULE_ERROR)
    volumes_detach(c);
  for (size_t i = 0; i < c->volume_count; i++)
    if (c->status == CAPSULE_RUNNING)
      c->volumes[i]->status = VOLUME_ATTACHED;
}

/* ---- JSON ---------------------------------------------------------------- */

void volume_put(const volume *v, wrenn_buf *out) {
  static const char *const names[] = {[VOLUME_DETACHED] = "detached",
                                      [VOLUME_ATTACHING] = "attaching",
                                      [VOLUME_ATTACHED] = "attached"};
  char path[VOLUME_MOUNT_SIZE] = "";
  if (v->of)
    volume_mount_path(v, path);
  json_object(out, NULL);
  json_text(out, "id", v->id);
  json_format(out, "team_id", TEAM_ID, v->team + 1);
  json_text(out, "name", v->name);
  json_int(out, "size_mb", v->size_mb);
  json_text(out, "status", names[v->status]);
  json_text(out, "mount_path", path);
  json_time(out, "created_at", v->created);
  if (v->attached) /* to the only host */
    json_text(out, "host_id", HOST_ID);
  if (v->of)
    json_text(out, "sandbox_id", v->of->id);
  if (v->attached)
    json_time(out, "last_attached_at", v->attached);
  json_object_end(out);
}
