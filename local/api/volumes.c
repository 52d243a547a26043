/* Handlers: volumes. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "model/volumes.h"
#include "util/json_out.h"

static void reply_volume(conn *c, int status, const volume *v) {
  wrenn_buf json = {0};
  volume_put(v, &json);
  conn_reply_json(c, status, &json);
}

/* Reads the size in megabytes; false if the request has been answered. */
static bool take_size(conn *c, const wrenn_json *body, int64_t *size_mb) {
  char *text = NULL;
  if (!api_text(c, body, "size", &text) ||
      !api_number(c, body, "size_mb", size_mb))
    goto refused;
  if (text && *text && !volume_read_size(text, size_mb)) {
    api_reply_error(c, 400, "validation_failed", "invalid size: %s", text);
    goto refused;
  }
  if (*size_mb < VOLUME_MIN_MB || *size_mb > VOLUME_MAX_MB) {
    api_reply_error(c, 400, "validation_failed", "size must be %d to %d MB",
                    VOLUME_MIN_MB, VOLUME_MAX_MB);
    goto refused;
  }
  free(text);
  return true;

refused:
  free(text);
  return false;
}

/* Normalizes the name, "" if none is given; false if the request has been
 * answered. */
static bool take_name(conn *c, const wrenn_json *body,
                      char name[VOLUME_NAME_MAX + 1]) {
  char *given = NULL;
  bool ok = false;
  name[0] = '\0';
  if (!api_text(c, body, "name", &given))
    return false;
  if (given && *given && !volume_read_name(given, name))
    api_reply_error(c, 400, "validation_failed", "invalid volume name: %s",
                    given);
  else if (*name &&
           volume_find(&server_of(c)->volumes, request_of(c)->team, name))
    api_reply_error(c, 409, "volume_name_taken",
                    "A volume named \"%s\" already exists.", name);
  else
    ok = true;
  free(given);
  return ok;
}

void handle_volume_create(conn *c) {
  char name[VOLUME_NAME_MAX + 1];
  int64_t size_mb = 0;
  wrenn_json body;
  if (!api_body(c, &body) || !take_size(c, &body, &size_mb) ||
      !take_name(c, &body, name))
    return;
  const volume *v = volume_make(&server_of(c)->volumes, request_of(c)->team,
                                *name ? name : NULL, size_mb);
  if (v)
    reply_volume(c, 201, v);
  else
    api_reply_error(c, 500, "internal_error", "the volume cannot be made");
}

void handle_volume_list(conn *c) {
  wrenn_buf json = {0};
  json_array(&json, NULL);
  LIST_EACH (const volume, v, &server_of(c)->volumes.list, link) {
    if (v->team == request_of(c)->team)
      volume_put(v, &json);
  }
  json_array_end(&json);
  conn_reply_json(c, 200, &json);
}

static volume *find(conn *c) {
  volume *v = volume_find(&server_of(c)->volumes, request_of(c)->team,
                          request_of(c)->selector);
  if (!v)
    api_reply_error(c, 404, "volume_not_found", "Volume not found.");
  return v;
}

void handle_volume_get(conn *c) {
  const volume *v = find(c);
  if (v)
    reply_volume(c, 200, v);
}

void handle_volume_delete(conn *c) {
  volume *v = find(c);
  if (!v)
    return;
  if (v->status != VOLUME_DETACHED) {
    api_reply_error(c, 409, "volume_in_use",
                    "Volume \"%s\" is attached to a capsule.", v->name);
    return;
  }
  volume_remove(v);
  conn_reply(c, 204, NULL, "", 0);
}

/* ---- for a new capsule --------------------------------------------------- */

static bool is_among(const capsule_wishes *wishes, const volume *v) {
  for (size_t i = 0; i < wishes->volume_count; i++)
    if (wishes->volumes[i] == v)
      return true;
  return false;
}

/* Finds the volumes in the list, each once; false if the request has been
 * answered. */
static bool take_all(conn *c, const wrenn_json *list, capsule_wishes *wishes) {
  char unknown[VOLUME_NAME_MAX + 1] = "";
  wrenn_json_iter it;
  wrenn_json item;
  size_t slots = 0;
  wrenn_json_walk(&it, list);
  while (wrenn_json_next(&it, NULL, &item) > 0) {
    char ref[VOLUME_NAME_MAX + 1] = "?";
    if (item.len < sizeof(ref))
      ref[wrenn_json_decode(&item, ref)] = '\0';
    volume *v = volume_find(&server_of(c)->volumes, request_of(c)->team, ref);
    if (v && is_among(wishes, v))
      continue;
    if (++slots > CAPSULE_VOLUMES) {
      api_reply_error(c, 400, "validation_failed",
                      "a capsule takes %d volumes at the most",
                      CAPSULE_VOLUMES);
      return false;
    }
    if (v)
      wishes->volumes[wishes->volume_count++] = v;
    else
      memcpy(unknown, ref, sizeof(ref));
  }
  if (*unknown) {
    api_reply_error(c, 404, "volume_not_found", "Volume \"%s\" not found.",
                    unknown);
    return false;
  }
  return true;
}

static bool all_free(conn *c, const capsule_wishes *wishes) {
  for (size_t i = 0; i < wishes->volume_count; i++)
    if (wishes->volumes[i]->status != VOLUME_DETACHED) {
      api_reply_error(c, 409, "volume_in_use",
                      "Volume \"%s\" is not available to attach.",
                      wishes->volumes[i]->name);
      return false;
    }
  return true;
}

/* Returns the length of the list; -1 if it is not an array of strings. */
static int count_of(const wrenn_json *list) {
  wrenn_json_iter it;
  wrenn_json item;
  int count = 0;
  if (list->type != WRENN_JSON_ARRAY)
    return -1;
  wrenn_json_walk(&it, list);
  for (; wrenn_json_next(&it, NULL, &item) > 0; count++)
    if (item.type != WRENN_JSON_STRING)
      return -1;
  return count;
}

bool api_volumes(conn *c, const wrenn_json *body, capsule_wishes *wishes) {
  wrenn_json list;
  if (server_of(c)->generation < GENERATION_0_4 ||
      !wrenn_json_get(body, "volume_ids", &list) ||
      list.type == WRENN_JSON_NULL)
    return true;
  int count = count_of(&list);
  if (count < 0) {
    api_reply_fault(c, FAULT_JSON, NULL);
    return false;
  }
  if (count > 0 && wishes->snapshot) {
    api_reply_error(c, 400, "validation_failed",
                    "a capsule from a snapshot takes no volumes");
    return false;
  }
  if (count > 0 && !server_of(c)->capsules.site.bwrap) {
    api_reply_error(c, 501, "not_implemented",
                    "volumes are mounted with --isolation bwrap only");
    return false;
  }
  return take_all(c, &list, wishes) && all_free(c, wishes);
}
