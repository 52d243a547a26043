/*
 * Capsules: what the API says about them, their box, and the connections that
 * depend on them; and the list of capsules.
 */
#ifndef WRENN_LOCAL_MODEL_CAPSULE_H
#define WRENN_LOCAL_MODEL_CAPSULE_H

#include <stdbool.h>
#include <time.h>
#include <uv.h>

#include "box/box.h"
#include "buf.h"
#include "model/generation.h"
#include "util/list.h"

#define CAPSULE_OVER_LEN 16
#define CAPSULE_ID_LEN 28           /* "cl-" and 25 characters */
#define CAPSULE_HOST_IP "127.0.0.1" /* the address of its ports on the host */

typedef struct capsule capsule;

typedef enum capsule_status {
  CAPSULE_STARTING,
  CAPSULE_RUNNING,
  CAPSULE_PAUSING,
  CAPSULE_PAUSED,
  CAPSULE_RESUMING,
  CAPSULE_SNAPSHOTTING,
  CAPSULE_STOPPING,
  CAPSULE_STOPPED,
  CAPSULE_ERROR
} capsule_status;

/* A connection or pending answer that is cut off when the capsule ends or is
 * paused. */
typedef struct session {
  list_link link; /* of the capsule's */
  void (*cut)(struct session *s);
} session;

/* The resource usage of a capsule at some time. */
typedef struct capsule_point {
  time_t when;
  double cpu_pct; /* of all its CPUs */
  int64_t mem_bytes, disk_bytes;
} capsule_point;

#define CAPSULE_POINTS 600
#define CAPSULE_VOLUMES 4

/* Waits for a capsule to leave a status. */
typedef struct capsule_watcher {
  list_link link; /* of the capsule's */
  capsule_status from;
  void (*left)(struct capsule_watcher *w); /* it watches no more */
} capsule_watcher;

struct capsule {
  list_link link;      /* of all, newest first */
  list_link in_bucket; /* of the bucket in the table of ids */
  struct capsules *all;
  char id[CAPSULE_ID_LEN + 1];
  capsule_status status, told; /* the last one reported as an event */
  int team;
  char template[65];
  int64_t vcpus, memory_mb, disk_size_mb, timeout_sec;
  char *labels; /* the user's metadata, as members of JSON; or NULL */
  time_t created, started, active, updated; /* 0: not yet */
  char *folder;
  char *system;                    /* of the box */
  char over[CAPSULE_OVER_LEN + 1]; /* the name of the folder of the snapshot
                                      that its system lies over; or "" */
  struct template *below; /* that snapshot; NULL: it is lost, or not needed */
  char **layers;          /* of the box; or NULL */
  box box;
  bool idle;   /* it was paused for being idle */
  bool away;   /* paused, although its status does not say so yet */
  bool afresh; /* it resumes by a new sandbox, with the files that it had */
  struct volume *volumes[CAPSULE_VOLUMES]; /* attached to it */
  size_t volume_count;
  char *had_volumes; /* under the server before: their ids; or NULL */
  struct copying
      *copying; /* the copy of its tree that is being made; or NULL */
  list sessions, watchers;
  uv_timer_t timer; /* the next change of status */
  uint64_t used;    /* time of the last activity, of the loop's clock */
  uint64_t ended;   /* time of its end */
  struct {
    capsule_point *points; /* oldest first; NULL while there are none */
    size_t count;
    uint64_t sampled;
    int64_t cpu_ms;
  } metrics;
};

#define CAPSULE_BUCKETS 1024

typedef struct capsules {
  box_site site;
  generation generation;
  struct events *events; /* told of each change of status; or NULL */
  const traits *traits;
  struct volumes *volumes;
  struct templates *templates;
  list list;
  list buckets[CAPSULE_BUCKETS]; /* all of them by id */
  size_t count;
  const char *system; /* the tree of the platform's templates; or NULL */
  const char *data;   /* folder that holds one for each capsule */
  bool keep_data;     /* the next server takes them up */
  bool ending;
  unsigned live; /* capsules with a sandbox or a folder, and jobs in progress */
  void (*all_gone)(void *arg);
  void *arg;
  uv_timer_t reaper;
  uint64_t second_ms; /* of a timeout_sec */
  uv_timer_t monitor; /* updates the status of those that are away */
} capsules;

typedef struct capsule_wishes {
  int team;
  char template[65];
  int64_t vcpus, memory_mb, disk_size_mb, timeout_sec;
  struct template
      *snapshot;      /* the template whose files it starts with; or NULL */
  const char *system; /* the tree of its template; NULL: the host's system */
  struct volume *volumes[CAPSULE_VOLUMES];
  size_t volume_count;
  char *labels; /* owned by the capsule if it is created */
} capsule_wishes;

/* `error` is NULL or the reason of a failed copy; `bytes` is its size. */
typedef void capsule_copied(void *arg, const char *error, int64_t bytes);

/* Starts looking for idle capsules. */
void capsules_start(capsules *all);

/* Stops every capsule; all_gone is called after the last one has ended. */
void capsules_end(capsules *all);

/* Frees the list; only after all_gone. */
void capsules_free(capsules *all);

/* Delay all_gone until each hold has been released. */
void capsules_hold(capsules *all);
void capsules_release(capsules *all);

/* Allocates a capsule without a folder; puts it in its place in the list, which
 * takes it over; frees one that is not in the list. */
capsule *capsule_new(capsules *all, const char *id, const char *system);
void capsule_enlist(capsule *c);
void capsule_free(capsule *c);

/* Creates a capsule, which starts; NULL if the system lacks resources. */
capsule *capsule_create(capsules *all, const capsule_wishes *wishes);

/* Finds a capsule by id; NULL if there is none. */
capsule *capsule_find(capsules *all, const char *id);

/* Whether a text has the form of an id. */
bool capsule_id_ok(const char *id);

const char *capsule_status_name(const capsule *c);
const char *capsule_status_text(const capsules *all, capsule_status status);

/* The only function that changes a status. */
void capsule_set_status(capsule *c, capsule_status status);

/* Whether it has ended or is about to. */
bool capsule_is_over(const capsule *c);

/* The changes of status; each requires certain statuses. */
void capsule_pause(capsule *c);
void capsule_pause_idle(capsule *c);
void capsule_resume(capsule *c);

/* The same for its end, from any status; false if it has ended or is about
 * to. */
bool capsule_destroy(capsule *c);

/* Ends what is left of one that is about to end, without delay. */
void capsule_stop_now(capsule *c);

/* Removes its folder in the background; afterwards the capsule counts as
 * gone. */
void capsule_remove_folder(capsule *c);

/* Starts its sandbox in its folder, which is complete; false on failure. */
bool capsule_start(capsule *c);

/* Sends an order without arguments to its agent; false if there is none. */
bool capsule_order(capsule *c, const char *order, sandbox_done *done);

/* Cuts its sessions. */
void capsule_cut(capsule *c);

/* stacking.c: it needs the snapshot no more that it lies over. */
void capsule_alight(capsule *c);

/* snapshotting.c: fills the folder of a new capsule from its template, and then
 * starts it. False if the copy cannot be started. */
bool capsule_fill(capsule *c, struct template *from);

/* snapshotting.c: copies the files of a running or paused capsule into a new
 * template, while nothing in it runs. It returns to its status, or becomes
 * paused if the generation does that. False if the copy cannot be started;
 * `done` is not called then. */
bool capsule_copy(capsule *c, const struct template *to, capsule_copied *done,
                  void *arg);

/* snapshotting.c: aborts whichever of the two is in progress. */
void capsule_copy_stop(capsule *c);

/* snapshotting.c: whether its folder is being filled: capsule_gone is called at
 * the end of that. */
bool capsule_is_filling(const capsule *c);

/* snapshotting.c: where its folder is until it is full; allocated. */
char *capsule_filling_path(const capsule *c);

/* keeping.c: records it for the next server, if there is one to be; false on
 * failure. Removes the record. */
bool capsule_keep(const capsule *c);
void capsule_forget(const capsule *c);

/* keeping.c: takes up the capsules of the server before. False if the data
 * folder cannot be used. */
bool capsules_take_up(capsules *all);

/* They can be read by id for at least this time after their end. */
#define CAPSULE_ENDED_KEPT_S 3600

/* The hooks of its box: it is ready; it has ended. */
void capsule_ready(box *b);
void capsule_gone(box *b);

/* Records activity: the capsule is not idle. */
void capsule_touch(capsule *c);

/* Adds a point to its metrics. */
void capsule_add_point(capsule *c, const capsule_point *point);

/* Appends the capsule as the API shows it: as an element or a member, whose
 * name may be NULL; or alone. */
void capsule_put(const capsule *c, const char *name, wrenn_buf *out);
void capsule_put_alone(const capsule *c, wrenn_buf *out);

/* Starts waiting for the capsule to leave its present status; stops waiting. */
void capsule_watch(capsule *c, capsule_watcher *w);
void capsule_unwatch(capsule_watcher *w);

/* Adds a session to the list of those to cut. */
void session_join(capsule *c, session *s);
void session_leave(session *s);

#endif
