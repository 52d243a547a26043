/* Snapshots that lie over each other, and capsules that lie over those: which
 * files are needed, and by whom. A snapshot that has been removed stays as a
 * layer, with a record that says so, until nothing lies over it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/templates.h"

#include "box/layers.h"

const char *template_folder(const template *t) {
  return strrchr(t->folder, '/') + 1;
}

size_t template_height(const template *t) {
  size_t height = 0;
  while (t && height <= LAYERS_MAX) {
    height++;
    if (!*t->over)
      return height;
    t = t->below;
  }
  return 0;
}

/* ---- users --------------------------------------------------------------- */

void template_hide(templates *all, template *t) {
  t->all = all;
  list_append(&all->hidden, &t->link);
}

void template_hold(template *t) {
  if (t)
    t->users++;
}

/* The record of what lies over another is gone before that of the other. What
 * cannot be read may lie over anything: then all stays until the next server.
 */
void template_release(template *t) {
  while (t && --t->users == 0 && t->removed && !t->all->unsure) {
    template *below = t->below;
    template_discard(t);
    t = below;
  }
}

bool template_carry(template *t, capsule *c) {
  const size_t height = template_height(t);
  char **layers = calloc(height + 1, sizeof(*layers));
  bool ok = height > 0 && layers;
  c->layers = layers; /* ends with NULL */
  c->below = t;
  template_hold(t);
  snprintf(c->over, sizeof(c->over), "%s", template_folder(t));
  for (size_t i = 0; ok && i < height; i++, t = t->below)
    ok = (layers[i] = template_tree(t)) != NULL;
  c->box.layers = (const char *const *)layers;
  c->box.layer_count = height;
  return ok;
}

void capsule_alight(capsule *c) {
  template_release(c->below);
  c->below = NULL;
}

/* ---- what the server before has left ------------------------------------- */

static template *find_in(const list *l, const char *folder) {
  LIST_EACH (template, t, l, link)
    if (t->folder && strcmp(template_folder(t), folder) == 0)
      return t;
  return NULL;
}

static template *find(const templates *all, const char *folder) {
  template *t = find_in(&all->list, folder);
  return t ? t : find_in(&all->hidden, folder);
}

template *template_in(const templates *all, const char *folder) {
  template *t = find(all, folder);
  return t && template_height(t) > 0 ? t : NULL;
}

static void find_below(const templates *all, const list *l) {
  LIST_EACH (template, t, l, link)
    if (*t->over) {
      t->below = find(all, t->over);
      template_hold(t->below);
    }
}

void templates_stack(templates *all) {
  find_below(all, &all->list);
  find_below(all, &all->hidden);
  LIST_EACH (template, t, &all->list, link) {
    if (t->platform || template_height(t) > 0)
      continue;
    fprintf(stderr,
            "wrenn-local: the snapshot %s lacks the one that it lies over, %s"
            "\n",
            t->name, t->over);
    list_remove(&t->link);
    template_hide(all, t);
  }
}

void templates_clear(templates *all) {
  list_link *link = all->unsure ? NULL : all->hidden.first;
  while (link) {
    template *t = LIST_ITEM(link, template, link);
    const bool unused = t->removed && t->users == 0;
    link = link->next;
    if (unused) {
      template_hold(t);
      template_release(t);
      link = all->hidden.first; /* others may have gone with it */
    }
  }
}
