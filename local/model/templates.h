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
#define TEMPLATE_FOLDER_LEN CAPSULE_OVER_LEN

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
  char over[TEMPLATE_FOLDER_LEN + 1]; /* the name of the folder of a snapshot
                                         that they lie over, too; or "" */
  struct template *below;             /* that snapshot; NULL: it is lost */
  unsigned users; /* copies in progress, and what lies over it */
  bool removed;   /* its files stay for its users */
}
template;

typedef struct templates {
  capsules *capsules;
  list list;
  list hidden; /* snapshots that the API does not know (any more), but others
                  lie over */
  bool unsure; /* there are records that could not be read, of what may lie over
                  others */
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

/* Reserves the name of a snapshot that is about to be made: of the capsule's
 * own changes only, if those that it lies over are not too many already. NULL
 * if the system lacks resources. */
template *template_make(templates *all, const char *name, const capsule *of);

/* The path of its files, allocated. */
char *template_tree(const template *t);

/* The copy is complete; false if it cannot be recorded. */
bool template_complete(template *t, int64_t bytes);

/* Records a change of name or visibility; false on failure. */
bool template_save(const template *t);

/* Removes it from the list; its files are removed when it has no users any
 * more. False, and it stays, if that cannot be recorded. */
bool template_remove(template *t);

/* Removes one without users for good: its record first. */
void template_discard(template *t);

/* stacking.c: adds one that is on no list to the hidden ones. */
void template_hide(templates *all, template *t);

/* stacking.c. Call these at the start and at the end of a copy, and of what
 * lies over it; NULL is nothing. */
void template_hold(template *t);
void template_release(template *t);

/* stacking.c: the name of its folder. */
const char *template_folder(const template *t);

/* stacking.c: lays a capsule over a snapshot, which it holds until its end:
 * capsule_alight. False when memory is out. */
bool template_carry(template *t, capsule *c);

/* stacking.c: the number of snapshots that a capsule over it lies over; 0 for
 * NULL, and if one is lost. */
size_t template_height(const template *t);

/* stacking.c: finds the snapshot in this folder, also of those that are hidden;
 * NULL if it, or one that it lies over, is lost. */
template *template_in(const templates *all, const char *folder);

/* stacking.c: finds out what lies over what, after all have been read; those of
 * which something is lost are hidden. */
void templates_stack(templates *all);

/* stacking.c: removes hidden ones that nothing lies over, after all capsules
 * have been read. */
void templates_clear(templates *all);

/* Appends it in the form that the API shows to a team. */
void template_put(const template *t, int team, wrenn_buf *out);

#endif
