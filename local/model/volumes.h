/* Volumes: folders that outlive the capsules they are attached to. */
#ifndef WRENN_LOCAL_MODEL_VOLUMES_H
#define WRENN_LOCAL_MODEL_VOLUMES_H

#include <stdbool.h>
#include <time.h>

#include "buf.h"
#include "model/capsule.h"

#define VOLUME_ID_LEN 29   /* "vol-" and 25 characters */
#define VOLUME_NAME_MAX 40 /* with its "vl-" */
#define VOLUME_MOUNT_SIZE (VOLUME_ID_LEN + 6)
#define VOLUME_MIN_MB 100
#define VOLUME_MAX_MB 20480

typedef enum volume_status {
  VOLUME_DETACHED,
  VOLUME_ATTACHING,
  VOLUME_ATTACHED
} volume_status;

typedef struct volume {
  struct volume *next, *previous; /* newest first */
  struct volumes *all;
  char id[VOLUME_ID_LEN + 1];
  char name[VOLUME_NAME_MAX + 1];
  int team;
  int64_t size_mb;
  volume_status status;
  const capsule *of; /* NULL while detached */
  time_t created, attached;
  char *home;   /* its folder, with its record */
  char *folder; /* below: what is mounted */
} volume;

typedef struct volumes {
  capsules *capsules;
  volume *first;
} volumes;

/* Knows the volumes that are in the data folder already. False when that
 * cannot be used. */
bool volumes_open(volumes *all, capsules *capsules);
void volumes_free(volumes *all);

/* Reads "20Gi", "5120M", "512"; false when it is no size in megabytes. */
bool volume_read_size(const char *text, int64_t *size_mb);

/* Makes a valid name out of a given one, which may lack its "vl-"; false when
 * it cannot be one. */
bool volume_read_name(const char *given, char name[VOLUME_NAME_MAX + 1]);

/* A team's one by id, or by name with or without its "vl-"; NULL when there is
 * none. */
volume *volume_find(const volumes *all, int team, const char *ref);

/* Makes one; without a name it is called after its id. NULL when the system
 * has not enough. */
volume *volume_make(volumes *all, int team, const char *name, int64_t size_mb);

/* Removes it with its data. */
void volume_remove(volume *v);

/* Where a capsule sees it. */
void volume_mount_path(const volume *v, char path[VOLUME_MOUNT_SIZE]);

/* Gives detached volumes to a capsule that is starting; takes them back. */
void volumes_attach(capsule *c, volume *const *list, size_t count);
void volumes_detach(capsule *c);

/* The capsule's status has changed. */
void volumes_follow(capsule *c);

/* Appends it as the API shows it. */
void volume_put(const volume *v, wrenn_buf *out);

#endif
