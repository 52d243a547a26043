/*
 * The API: its handlers, and the checks that they share.
 */
#ifndef WRENN_LOCAL_API_API_H
#define WRENN_LOCAL_API_API_H

#include "api/fault.h"
#include "api/guest_fault.h"
#include "api/server.h"
#include "box/process.h"

/* The hooks of the HTTP server. */
void api_begin(conn *c);
void api_request(conn *c);
void api_forget(conn *c);

/* Refuses a request if too few descriptors are left, and returns true. It is
 * answered later. */
bool api_crowded(conn *c);
void api_reply_crowded(conn *c);

/* ---- checks; each answers the request when it returns false -------------- */

/* Checks that the capsule is running, and not paused without its status saying
 * so. `with_status`: the message contains the status, as for everything except
 * files. */
bool api_running(conn *c, bool with_status);

/* Checks that the body is a JSON object. */
bool api_body(conn *c, wrenn_json *body);

/* Returns a member of the body as an allocated string. *text is NULL if it is
 * absent or null; false (after a 400) if it has another type. */
bool api_text(conn *c, const wrenn_json *body, const char *name, char **text);

/* The same for 32-bit integers, and for unsigned ones; *number is unchanged if
 * absent. */
bool api_number(conn *c, const wrenn_json *body, const char *name,
                int64_t *number);
bool api_unsigned(conn *c, const wrenn_json *body, const char *name,
                  int64_t *number);

/* Returns the required member `path`, allocated. NULL if the request has been
 * answered. */
char *api_path(conn *c, const wrenn_json *body);

/* Decodes a parameter of the query; false if absent. A malformed or too long
 * value becomes "?", which no parameter accepts. */
bool api_query(const conn *c, const char *name, char *value, size_t size);

/* Reads a plan from a request body or a start frame: cmd and args and, unless
 * `command_only`, envs, cwd and tag. Returns false if a type is wrong. */
typedef struct api_plan {
  process_plan plan;
  char *cmd, *cwd, *tag; /* owned */
} api_plan;

bool api_plan_read(const wrenn_json *from, bool command_only, api_plan *plan);
void api_plan_free(api_plan *plan);

/* Finds the volumes for a new capsule; false if the request has been
 * answered. */
bool api_volumes(conn *c, const wrenn_json *body, capsule_wishes *wishes);

/* Refuses a WebSocket that opened before its key was checked. `fatal`: in the
 * form of terminals. */
void api_refuse_stranger(conn *c, bool fatal);

/* ---- handlers ------------------------------------------------------------
 * One for each route of api.c, called handle_<thing>_<action>. It answers the
 * request, now or later. */

/* capsules.c */
void handle_health_get(conn *c);
void handle_capsule_create(conn *c);
void handle_capsule_list(conn *c);
void handle_capsule_get(conn *c);
void handle_capsule_destroy(conn *c);
void handle_capsule_pause(conn *c);
void handle_capsule_resume(conn *c);
void handle_capsule_ping(conn *c);

/* exec.c */
void handle_command_run(conn *c);
void handle_process_list(conn *c);
void handle_process_kill(conn *c);

/* stream.c */
void handle_command_stream(conn *c);
void handle_process_stream(conn *c);

/* pty.c */
void handle_terminal_open(conn *c);

/* files.c */
void handle_file_read(conn *c);
void handle_file_stream_read(conn *c);
void handle_file_list(conn *c);
void handle_file_mkdir(conn *c);
void handle_file_remove(conn *c);

/* upload.c: these two are called when the head of the request is complete, and
 * receive the body in pieces. */
void handle_file_write(conn *c);
void handle_file_stream_write(conn *c);

/* snapshots.c */
void handle_snapshot_create(conn *c);
void handle_snapshot_list(conn *c);
void handle_snapshot_delete(conn *c);
void handle_snapshot_rename(conn *c);
void handle_snapshot_publish(conn *c);

/* volumes.c */
void handle_volume_create(conn *c);
void handle_volume_list(conn *c);
void handle_volume_get(conn *c);
void handle_volume_delete(conn *c);

/* stats.c, metrics.c, events.c */
void handle_stats_get(conn *c);
void handle_usage_get(conn *c);
void handle_metrics_get(conn *c);
void handle_event_stream(conn *c);

#endif
