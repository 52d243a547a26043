#include "model/events.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "model/stats.h"
#include "model/team.h"
#include "util/clock.h"

#define KEEPALIVE_MS 30000
/* A listener for whom as many wait loses the next. */
#define WAITING_MAX 32

typedef struct listener {
  struct listener *next, *previous;
  conn *conn;
} listener;

struct events {
  uv_timer_t timer;
  listener listeners; /* list head */
};

/* To one team, or to all when `team` is -1. */
static void send_to(events *e, int team, const wrenn_buf *text) {
  listener *next;
  for (listener *l = e->listeners.next; l && !text->oom; l = next) {
    next = l->next;
    if ((team < 0 || l->conn->team == team) &&
        l->conn->out.writes < WAITING_MAX)
      conn_stream_data(l->conn, text->data, text->len);
  }
}

static void on_timer(uv_timer_t *timer) {
  wrenn_buf text = {0};
  wrenn_buf_puts(&text, ": keepalive\n\n");
  send_to(timer->data, -1, &text);
  wrenn_buf_free(&text);
}

events *events_start(uv_loop_t *loop) {
  uint64_t every = clock_ms("WRENN_LOCAL_KEEPALIVE_MS", KEEPALIVE_MS);
  events *e = calloc(1, sizeof(*e));
  if (!e)
    return NULL;
  uv_timer_init(loop, &e->timer);
  e->timer.data = e;
  uv_timer_start(&e->timer, on_timer, every, every);
  return e;
}

void events_end(events *e) { uv_close((uv_handle_t *)&e->timer, NULL); }

void events_free(events *e) { free(e); }

/* ---- telling ------------------------------------------------------------- */

/* The frame's lines up to the middle of its JSON. */
static void begin(wrenn_buf *out, int team, const char *kind,
                  const char *outcome) {
  char now[32];
  clock_text(now, time(NULL));
  wrenn_buf_printf(out, "event: %s\ndata: {\"event\":\"%s\"", kind, kind);
  if (outcome)
    wrenn_buf_printf(out, ",\"outcome\":\"%s\"", outcome);
  wrenn_buf_printf(out, ",\"timestamp\":\"%s\",\"team_id\":\"" TEAM_ID "\"",
                   now, team + 1);
}

static void put_actor(wrenn_buf *out, int team, bool system) {
  if (system)
    wrenn_buf_puts(out, ",\"actor\":{\"type\":\"system\"}");
  else
    wrenn_buf_printf(out,
                     ",\"actor\":{\"type\":\"api_key\",\"id\":\"" KEY_ID
                     "\",\"name\":\"" KEY_NAME "\"}",
                     team + 1);
}

static void put_resource(wrenn_buf *out, const char *type, const char *id) {
  wrenn_buf_printf(out, ",\"resource\":{\"id\":\"%s\",\"type\":\"%s\"}", id,
                   type);
}

static void put_capsule(wrenn_buf *out, const capsule *c) {
  wrenn_buf_puts(out, ",\"sandbox\":");
  capsule_put(c, out);
}

static void end(events *e, int team, wrenn_buf *out) {
  wrenn_buf_puts(out, "}\n\n");
  send_to(e, team, out);
  wrenn_buf_free(out);
}

void events_act(events *e, const event *what) {
  wrenn_buf out = {0};
  if (!e || !e->listeners.next)
    return;
  begin(&out, what->team, what->kind, what->error ? "error" : "success");
  put_actor(&out, what->team, what->system);
  if (what->capsule)
    put_resource(&out, "sandbox", what->capsule->id);
  else if (what->snapshot)
    put_resource(&out, "snapshot", what->snapshot);
  if (what->reason)
    wrenn_buf_printf(&out, ",\"metadata\":{\"reason\":\"%s\"}", what->reason);
  else if (what->host_ip)
    wrenn_buf_printf(&out, ",\"metadata\":{\"host_ip\":\"%s\"}", what->host_ip);
  if (what->error) {
    wrenn_buf_puts(&out, ",\"error\":");
    wrenn_json_put_string(&out, what->error, strlen(what->error));
  }
  if (what->capsule)
    put_capsule(&out, what->capsule);
  end(e, what->team, &out);
}

static void tell_change(events *e, const capsule *c, capsule_status before) {
  wrenn_buf out = {0};
  begin(&out, c->team, "capsule.state.changed", NULL);
  put_actor(&out, c->team, true);
  put_resource(&out, "sandbox", c->id);
  wrenn_buf_printf(&out, ",\"metadata\":{\"from\":\"%s\",\"to\":\"%s\"}",
                   capsule_status_text(c->all, before), capsule_status_name(c));
  put_capsule(&out, c);
  end(e, c->team, &out);
}

/* What is over when a capsule comes from one status to another. */
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
  if (!e || !e->listeners.next || before == c->status)
    return;
  if (start || snapshot)
    tell_change(e, c, before);
  tell_end(e, c, before);
}

/* ---- GET /v1/events/stream ----------------------------------------------- */

static void drop(conn *c) {
  listener *l = c->task.state;
  l->previous->next = l->next;
  if (l->next)
    l->next->previous = l->previous;
  free(l);
}

void handle_events(conn *c) {
  static const char hello[] =
      "event: connected\ndata: {\"message\":\"connected\"}\n\n";
  events *e = c->server->capsules.events;
  listener *l = calloc(1, sizeof(*l));
  if (!l) {
    conn_reply_fault(c, FAULT_MEMORY, NULL);
    return;
  }
  l->conn = c;
  l->previous = &e->listeners;
  l->next = e->listeners.next;
  if (l->next)
    l->next->previous = l;
  e->listeners.next = l;
  c->task = (conn_task){.drop = drop, .state = l};
  conn_watch(c);
  conn_stream_begin(c, 200, "text/event-stream", -1);
  conn_stream_data(c, hello, sizeof(hello) - 1);
}
