/* Volumes: folders that outlive the capsules they are attached to. */
#ifndef WRENN_LOCAL_MODEL_VOLUMES_H
#define WRENN_LOCAL_MODEL_VOLUMES_H

#include <stdbool.h>
#include <time.h>

#include "buf.h"
#include "model/capsule.h"
#include "util/list.h"

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
  list_link link; /* newest first */
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
  list list;
} volumes;

/* Loads the volumes in the data folder. False if that cannot be used. */
bool volumes_open(volumes *all, capsules *capsules);
void volumes_free(volumes *all);

/* Parses "20Gi", "5120M", "512"; false if it is not a size in megabytes. */
bool volume_read_size(const char *text, int64_t *size_mb);

/* Makes a valid name from a given one, which may lack its "vl-"; false if that
 * is not possible. */
bool volume_read_name(const char *given, char name[VOLUME_NAME_MAX + 1]);

/* Finds a team's volume by id, or by name with or without "vl-"; NULL if there
 * is none. */
volume *volume_find(const volumes *all, int team, const char *ref);

/* Creates a volume; without a name it is named after its id. NULL if the system
 * lacks resources. */
volume *volume_make(volumes *all, int team, const char *name, int64_t size_mb);

/* Removes it with its data. */
void volume_remove(volume *v);

/* Its path in a capsule. */
void volume_mount_path(const volume *v, char path[VOLUME_MOUNT_SIZE]);

/* Attaches detached volumes to a capsule that starts; detaches them. */
void volumes_attach(capsule *c, volume *const *list, size_t count);
void volumes_detach(capsule *c);

/* Attaches the volumes that a capsule had under the server before, those that
 * have been removed aside; false if another capsule has one. */
bool volumes_return(capsule *c);

/* The capsule's status has changed. */
void volumes_follow(capsule *c);

/* Appends it as the API shows it. */
void volume_put(const volume *v, wrenn_buf *out);

#endif
