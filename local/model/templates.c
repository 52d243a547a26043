#include "model/templates.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box/layers.h"
#include "json.h"
#include "model/jobs.h"
#include "model/record.h"
#include "model/shelf.h"
#include "model/team.h"
#include "util/json_out.h"
#include "util/path.h"
#include "util/random.h"

#define TREE "tree"
#define FOLDER_LEN TEMPLATE_FOLDER_LEN

static const char *const platform[] = {"minimal-ubuntu", "minimal",
                                       "code-runner-beta"};

bool template_name_ok(const char *name) {
  static const char first[] = "abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  size_t len = strlen(name);
  return len > 0 && len <= TEMPLATE_NAME_MAX && strchr(first, name[0]) &&
         strspn(name, "._-abcdefghijklmnopqrstuvwxyz"
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == len;
}

/* ---- the list ------------------------------------------------------------ */

static void free_template(template *t) {
  free(t->folder);
  free(t->system);
  free(t);
}

static bool is_newer(const template *t, const template *than) {
  return !t->platform && t->created > than->created;
}

/* Inserts a snapshot before what is not newer. */
static void link_in(templates *all, template *t) {
  list_link *before = all->list.first;
  while (before && is_newer(LIST_ITEM(before, template, link), t))
    before = before->next;
  t->all = all;
  list_insert(&all->list, before, &t->link);
}

static template *new_template(const char *name) {
  template *t = calloc(1, sizeof(*t));
  if (t)
    snprintf(t->name, sizeof(t->name), "%s", name);
  return t;
}

/* False when memory is out. */
static bool set_system(template *t, const char *system) {
  t->system = system ? strdup(system) : NULL;
  return t->system || !system;
}

static void on_found(void *arg, char *path, const wrenn_json *record) {
  char name[TEMPLATE_NAME_MAX + 1], system[PATH_MAX];
  record_text(record, "name", name, sizeof(name));
  record_text(record, "system", system, sizeof(system));
  int team = (int)record_number(record, "team");
  bool usable = template_name_ok(name) && !template_find(arg, team, name);
  template *t = new_template(name);
  if (!t) {
    free(path);
    return;
  }
  t->folder = path;
  if (!set_system(t, *system ? system : NULL)) {
    free_template(t);
    return;
  }
  t->team = team;
  t->ready = true;
  t->public = record_number(record, "public") != 0;
  t->vcpus = record_number(record, "vcpus");
  t->memory_mb = record_number(record, "memory_mb");
  t->size_bytes = record_number(record, "size_bytes");
  t->created = (time_t)record_number(record, "created");
  t->removed = record_number(record, "removed") != 0;
  record_text(record, "over", t->over, sizeof(t->over));
  if (usable && !t->removed)
    link_in(arg, t);
  else
    template_hide(arg, t);
}

static bool is_folder_name(const char *name) {
  return strlen(name) == FOLDER_LEN &&
         strspn(name, "0123456789abcdef") == FOLDER_LEN;
}

static void on_shelf(void *arg, const char *name, const char *tree,
                     time_t made) {
  templates *all = arg;
  template *t = NULL;
  LIST_EACH (template, other, &all->list, link)
    if (other->platform && strcmp(other->name, name) == 0 &&
        (!other->shelved || strcmp(other->system, tree) == 0))
      t = other;
  if (t)
    t->seen = true;
  if (t || !(t = new_template(name)))
    return;
  if (!set_system(t, tree)) {
    free_template(t);
    return;
  }
  t->platform = t->shelved = t->seen = t->ready = true;
  t->created = made;
  t->all = all;
  list_append(&all->list, &t->link);
}

/* With another tree under its name it is another template. */
void templates_look(templates *all) {
  if (!all->capsules->site.bwrap)
    return;
  LIST_EACH (template, t, &all->list, link)
    t->seen = false;
  shelf_each(on_shelf, all);
  LIST_EACH (template, t, &all->list, link)
    if (t->shelved && !t->seen) {
      list_remove(&t->link);
      free_template(t);
    }
}

bool template_is_platform(const char *name) {
  for (size_t i = 0; i < sizeof(platform) / sizeof(platform[0]); i++)
    if (strcmp(platform[i], name) == 0)
      return true;
  return false;
}

bool templates_open(templates *all, capsules *capsules) {
  *all = (templates){.capsules = capsules};
  for (size_t i = 0; i < sizeof(platform) / sizeof(platform[0]); i++) {
    template *t = new_template(platform[i]);
    if (!t || !set_system(t, capsules->system)) {
      free(t);
      return false;
    }
    t->platform = t->ready = true;
    t->created = time(NULL);
    t->all = all;
    list_append(&all->list, &t->link);
  }
  char *above = path_join(capsules->data, "snapshots");
  int unread = above ? record_each(above, is_folder_name, on_found, all) : -1;
  free(above);
  all->unsure = unread > 0;
  templates_stack(all);
  return unread >= 0;
}

void templates_free(templates *all) {
  LIST_EACH (template, t, &all->list, link)
    free_template(t);
  LIST_EACH (template, t, &all->hidden, link)
    free_template(t);
  all->list = all->hidden = (list){0};
}

template *template_find(const templates *all, int team, const char *name) {
  LIST_EACH (template, t, &all->list, link)
    if (strcmp(t->name, name) == 0 && (t->platform || t->team == team))
      return t;
  return NULL;
}

bool template_shown(const template *t, int team) {
  return t->platform || t->public || t->team == team;
}

template *template_by_slug(const templates *all, int team, const char *slug,
                           const char *name) {
  char own[TEMPLATE_SLUG_SIZE];
  LIST_EACH (template, t, &all->list, link)
    if (strcmp(t->name, name) == 0 && template_shown(t, team) &&
        strcmp(template_slug(t, own), slug) == 0)
      return t;
  return NULL;
}

const char *template_slug(const template *t, char slug[TEMPLATE_SLUG_SIZE]) {
  if (t->platform)
    return PLATFORM_SLUG;
  if (t->team == 0)
    return TEAM_SLUG;
  snprintf(slug, TEMPLATE_SLUG_SIZE, TEAM_SLUG "-%d", t->team + 1);
  return slug;
}

/* ---- snapshots ----------------------------------------------------------- */

/* Folders have names of their own, since a snapshot can be renamed. */
static char *make_folder(const templates *all) {
  char name[] = "snapshots/0123456789abcdef";
  random_hex(name + strlen("snapshots/"), FOLDER_LEN);
  char *folder = path_join(all->capsules->data, name);
  if (folder && mkdir(folder, 0700)) {
    free(folder);
    return NULL;
  }
  return folder;
}

template *template_make(templates *all, const char *name, const capsule *of) {
  template *t = new_template(name);
  const bool lost = *of->over && !of->below;
  char *folder = t && !lost ? make_folder(all) : NULL;
  if (!folder) {
    free(t);
    return NULL;
  }
  t->folder = folder;
  if (!set_system(t, of->system)) {
    rmdir(folder);
    free_template(t);
    return NULL;
  }
  t->team = of->team;
  t->vcpus = of->vcpus;
  t->memory_mb = of->memory_mb;
  t->created = time(NULL);
  if (template_height(of->below) < LAYERS_MAX) {
    memcpy(t->over, of->over, sizeof(t->over));
    template_hold(t->below = of->below);
  }
  link_in(all, t);
  return t;
}

char *template_tree(const template *t) { return path_join(t->folder, TREE); }

bool template_save(const template *t) {
  wrenn_buf text = {0};
  json_object(&text, NULL);
  json_text(&text, "name", t->name);
  json_int(&text, "team", t->team);
  json_int(&text, "public", t->public);
  json_int(&text, "vcpus", t->vcpus);
  json_int(&text, "memory_mb", t->memory_mb);
  json_int(&text, "size_bytes", t->size_bytes);
  json_int(&text, "created", t->created);
  if (t->system)
    json_text(&text, "system", t->system);
  if (*t->over)
    json_text(&text, "over", t->over);
  if (t->removed)
    json_int(&text, "removed", 1);
  json_object_end(&text);
  wrenn_buf_puts(&text, "\n");
  bool ok = record_write(t->folder, &text, t->all->capsules->keep_data);
  wrenn_buf_free(&text);
  return ok;
}

bool template_complete(template *t, int64_t bytes) {
  t->size_bytes = bytes + (t->below ? t->below->size_bytes : 0);
  t->ready = template_save(t);
  return t->ready;
}

bool template_remove(template *t) {
  t->removed = true;
  if ((t->users > 0 || t->all->unsure) && !template_save(t)) {
    t->removed = false;
    return false;
  }
  list_remove(&t->link);
  template_hide(t->all, t);
  template_hold(t);
  template_release(t);
  return true;
}

void template_discard(template *t) {
  list_remove(&t->link);
  record_drop(t->folder, t->all->capsules->keep_data);
  job_remove(t->all->capsules, t->folder);
  t->folder = NULL;
  free_template(t);
}

/* ---- JSON ---------------------------------------------------------------- */

void template_put(const template *t, int team, wrenn_buf *out) {
  char slug[TEMPLATE_SLUG_SIZE];
  generation g = t->all->capsules->generation;
  json_object(out, NULL);
  json_text(out, "name", t->name);
  json_text(out, "type", t->platform ? "base" : "snapshot");
  if (!t->platform) {
    json_int(out, "vcpus", t->vcpus);
    json_int(out, "memory_mb", t->memory_mb);
  }
  json_int(out, "size_bytes", t->size_bytes);
  json_time(out, "created_at", t->created);
  json_bool(out, "platform", t->platform);
  if (g >= GENERATION_0_2_2)
    json_bool(out, "protected", t->platform);
  if (g >= GENERATION_0_4) {
    json_bool(out, "public", t->public);
    json_bool(out, "owned", !t->platform && t->team == team);
    json_text(out, "team_slug", template_slug(t, slug));
  }
  json_object_end(out);
}
