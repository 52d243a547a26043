/* Templates: the platform's, and snapshots, which lie in the data folder. */
#ifndef WRENN_LOCAL_MODEL_TEMPLATES_H
#define WRENN_LOCAL_MODEL_TEMPLATES_H

#include <stdbool.h>
#include <time.h>

#include "buf.h"
#include "model/capsule.h"

#define TEMPLATE_NAME_MAX 64

typedef struct template {
  struct template *next, *previous; /* newest first, the platform's last */
  struct templates *all;
  char name[TEMPLATE_NAME_MAX + 1];
  bool platform, public;
  int team;   /* not of a platform's */
  bool ready; /* its files are there */
  int64_t vcpus, memory_mb, size_bytes;
  time_t created;
  char *folder;   /* a snapshot's, with its tree and its record */
  unsigned users; /* copies that are being made of it */
}
template;

typedef struct templates {
  capsules *capsules;
  template *first, *last;
} templates;

/* Knows the platform's templates and the snapshots that are in the data folder
 * already. False when memory is out. */
bool templates_open(templates *all, capsules *capsules);
void templates_free(templates *all);

bool template_name_ok(const char *name);

/* A team's own one by name, or the platform's, ready or not; NULL when there
 * is none. */
template *template_find(const templates *all, int team, const char *name);

/* One by the slug of its team, and by name, that this team may use. */
template *template_by_slug(const templates *all, int team, const char *slug,
                           const char *name);

/* Whether a team may see it. */
bool template_shown(const template *t, int team);

/* The slug of the team that it belongs to. */
#define TEMPLATE_SLUG_SIZE 24
const char *template_slug(const template *t, char slug[TEMPLATE_SLUG_SIZE]);

/* Takes a name for a snapshot of a capsule that is about to be made. NULL when
 * the system has not enough. */
template *template_make(templates *all, const char *name, const capsule *of);

/* The path of its files, allocated. */
char *template_tree(const template *t);

/* The copy is complete; false when it cannot be recorded. */
bool template_complete(template *t, int64_t bytes);

/* Records a change of name or visibility; false when it cannot. */
bool template_save(const template *t);

/* Takes it out of the list, and removes its files once nobody copies them. */
void template_remove(template *t);

/* It is being copied from; it is no more. */
void template_hold(template *t);
void template_release(template *t);

/* Appends it as the API shows it to a team. */
void template_put(const template *t, int team, wrenn_buf *out);

#endif
