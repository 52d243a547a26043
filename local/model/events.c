#include "model/events.h"

#include "model/team.h"
#include "util/json_out.h"

/* The first members. */
static void begin(wrenn_buf *out, int team, const char *kind,
                  const char *outcome) {
  json_object(out, NULL);
  json_text(out, "event", kind);
  if (outcome)
    json_text(out, "outcome", outcome);
  json_time(out, "timestamp", time(NULL));
  json_format(out, "team_id", TEAM_ID, team + 1);
}

static void put_actor(wrenn_buf *out, int team, bool system) {
  json_object(out, "actor");
  json_text(out, "type", system ? "system" : "api_key");
  if (!system) {
    json_format(out, "id", KEY_ID, team + 1);
    json_text(out, "name", KEY_NAME);
  }
  json_object_end(out);
}

static void put_resource(wrenn_buf *out, const char *type, const char *id) {
  json_object(out, "resource");
  json_text(out, "id", id);
  json_text(out, "type", type);
  json_object_end(out);
}

static void put_metadata(wrenn_buf *out, const char *name, const char *value) {
  json_object(out, "metadata");
  json_text(out, name, value);
  json_object_end(out);
}

static void end(events *e, int team, const char *kind, wrenn_buf *out) {
  json_object_end(out);
  if (!out->oom)
    e->tell(e, team, kind, out);
  wrenn_buf_free(out);
}

void events_act(events *e, const event *what) {
  wrenn_buf out = {0};
  if (!e->tell)
    return;
  begin(&out, what->team, what->kind, what->error ? "error" : "success");
  put_actor(&out, what->team, what->system);
  if (what->capsule)
    put_resource(&out, "sandbox", what->capsule->id);
  else if (what->snapshot)
    put_resource(&out, "snapshot", what->snapshot);
  if (what->reason)
    put_metadata(&out, "reason", what->reason);
  else if (what->host_ip)
    put_metadata(&out, "host_ip", what->host_ip);
  if (what->error)
    json_text(&out, "error", what->error);
  if (what->capsule)
    capsule_put(what->capsule, "sandbox", &out);
  end(e, what->team, what->kind, &out);
}

static void tell_change(events *e, const capsule *c, capsule_status before) {
  static const char kind[] = "capsule.state.changed";
  wrenn_buf out = {0};
  begin(&out, c->team, kind, NULL);
  put_actor(&out, c->team, true);
  put_resource(&out, "sandbox", c->id);
  json_object(&out, "metadata");
  json_text(&out, "from", capsule_status_text(c->all, before));
  json_text(&out, "to", capsule_status_name(c));
  json_object_end(&out);
  capsule_put(c, "sandbox", &out);
  end(e, c->team, kind, &out);
}

/* The operations that are complete when a capsule changes its status. */
static const struct {
  capsule_status from, to;
  const char *kind, *host_ip, *reason, *error;
} ends[] = {
    {CAPSULE_STARTING, CAPSULE_RUNNING, "capsule.create", CAPSULE_HOST_IP, NULL,
     NULL},
    {CAPSULE_STARTING, CAPSULE_ERROR, "capsule.create", NULL,
     "cleanup_after_create_error", "the capsule has not come up"},
    {CAPSULE_PAUSING, CAPSULE_PAUSED, "capsule.pause", NULL, NULL, NULL},
    {CAPSULE_PAUSING, CAPSULE_RUNNING, "capsule.pause", NULL, "host_failure",
     "the capsule could not be paused"},
    {CAPSULE_RESUMING, CAPSULE_RUNNING, "capsule.resume", CAPSULE_HOST_IP, NULL,
     NULL},
    {CAPSULE_RESUMING, CAPSULE_PAUSED, "capsule.resume", NULL, "host_failure",
     "the capsule could not be resumed"},
    {CAPSULE_STOPPING, CAPSULE_STOPPED, "capsule.destroy", NULL, NULL, NULL},
    {CAPSULE_RUNNING, CAPSULE_ERROR, "capsule.destroy", NULL, "orphaned", NULL},
    {CAPSULE_PAUSED, CAPSULE_ERROR, "capsule.destroy", NULL, "orphaned", NULL},
};

static void tell_end(events *e, const capsule *c, capsule_status before) {
  for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
    if (ends[i].from != before || ends[i].to != c->status)
      continue;
    bool idle = c->idle && c->status == CAPSULE_PAUSED;
    events_act(e, &(event){.kind = ends[i].kind,
                           .team = c->team,
                           .capsule = c,
                           .system = true,
                           .host_ip = ends[i].host_ip,
                           .reason = idle ? "ttl_expired" : ends[i].reason,
                           .error = ends[i].error});
  }
}

void events_changed(events *e, const capsule *c, capsule_status before) {
  bool snapshot =
      before == CAPSULE_SNAPSHOTTING || c->status == CAPSULE_SNAPSHOTTING;
  bool start = before == CAPSULE_STARTING && c->status == CAPSULE_RUNNING;
  if (!e->tell || before == c->status)
    return;
  if (start || snapshot)
    tell_change(e, c, before);
  tell_end(e, c, before);
}
