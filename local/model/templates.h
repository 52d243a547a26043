/* Templates: those of the platform, and snapshots, which are in the data
 * folder. */
#ifndef WRENN_LOCAL_MODEL_TEMPLATES_H
#define WRENN_LOCAL_MODEL_TEMPLATES_H

#include <stdbool.h>
#include <time.h>

#include "buf.h"
#include "model/capsule.h"
#include "util/list.h"

#define TEMPLATE_NAME_MAX 64

typedef struct template {
  list_link link; /* newest first, the platform's last */
  struct templates *all;
  char name[TEMPLATE_NAME_MAX + 1];
  bool platform, public;
  int team;   /* not used for the platform's */
  bool ready; /* its files are complete */
  int64_t vcpus, memory_mb, size_bytes;
  time_t created;
  char *folder; /* a snapshot's, with its tree and its record */
  bool shelved; /* one of the user's, of shelf.h, which counts as one of the
                   platform's */
  bool seen;    /* it is still on the shelf */
  char *system; /* the tree that its files lie over; NULL: the host's system */
  unsigned users; /* copies in progress */
}
template;

typedef struct templates {
  capsules *capsules;
  list list;
} templates;

/* Loads the platform's templates and the snapshots in the data folder. False
 * when memory is out. */
bool templates_open(templates *all, capsules *capsules);
void templates_free(templates *all);

/* Looks for what the user has added or removed. */
void templates_look(templates *all);

bool template_name_ok(const char *name);

/* Whether it is that of a template of the platform. */
bool template_is_platform(const char *name);

/* Finds one by name, of the team or the platform, complete or not; NULL if
 * there is none. */
template *template_find(const templates *all, int team, const char *name);

/* Finds one by its team's slug and its name, if this team may use it. */
template *template_by_slug(const templates *all, int team, const char *slug,
                           const char *name);

/* Whether a team may see it. */
bool template_shown(const template *t, int team);

/* The slug of the team that owns it. */
#define TEMPLATE_SLUG_SIZE 24
const char *template_slug(const template *t, char slug[TEMPLATE_SLUG_SIZE]);

/* Reserves the name of a snapshot that is about to be made. NULL if the system
 * lacks resources. */
template *template_make(templates *all, const char *name, const capsule *of);

/* The path of its files, allocated. */
char *template_tree(const template *t);

/* The copy is complete; false if it cannot be recorded. */
bool template_complete(template *t, int64_t bytes);

/* Records a change of name or visibility; false on failure. */
bool template_save(const template *t);

/* Removes it from the list; its files are removed when the last copy has ended.
 */
void template_remove(template *t);

/* Call these at the start and at the end of a copy. */
void template_hold(template *t);
void template_release(template *t);

/* Appends it in the form that the API shows to a team. */
void template_put(const template *t, int team, wrenn_buf *out);

#endif
