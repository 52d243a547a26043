/* Handlers: capsules and their status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/labels.h"
#include "box/jupyter.h"
#include "model/events.h"
#include "util/json_out.h"

#define MIN_TIMEOUT 60
#define DISK_SIZE_MB 5120

static void tell(const conn *c, const char *kind, const capsule *of) {
  events_act(server_of(c)->capsules.events,
             &(event){.kind = kind, .team = of->team, .capsule = of});
}

void handle_health_get(conn *c) {
  wrenn_buf json = {0};
  json_object(&json, NULL);
  json_text(&json, "status", "ok");
  json_text(&json, "version", server_of(c)->traits->version);
  json_object_end(&json);
  conn_reply_json(c, 200, &json);
}

static void reply_capsule(conn *c, int status, const capsule *shown) {
  wrenn_buf json = {0};
  capsule_put_alone(shown, &json);
  conn_reply_json(c, status, &json);
}

/* ---- changes of status --------------------------------------------------- */

/* A request that is answered at the end of a change. */
typedef struct waiting {
  capsule_watcher watcher;
  conn *conn;
  capsule *of;
  capsule_status wanted;
  int status; /* of the answer, on success */
} waiting;

static void drop_waiting(conn *c) {
  waiting *w = c->task.state;
  capsule_unwatch(&w->watcher);
  free(w);
}

static void reply_done(conn *c, int status, const capsule *of) {
  if (status == 204)
    conn_reply(c, 204, NULL, "", 0);
  else
    reply_capsule(c, status, of);
}

static void on_left(capsule_watcher *watcher) {
  waiting *w = (waiting *)watcher; /* it is the first member */
  if (w->of->status == w->wanted)
    reply_done(w->conn, w->status, w->of);
  else
    api_reply_fault(w->conn, FAULT_NOT_DONE, capsule_status_name(w->of));
}

/* A change has begun: answers now, or with `status` at its end, depending on
 * the generation. */
static void reply_begun(conn *c, capsule *of, capsule_status wanted,
                        int status) {
  waiting *w = NULL;
  if (!server_of(c)->traits->waits) {
    reply_capsule(c, 202, of);
  } else if (!(w = calloc(1, sizeof(*w)))) {
    api_reply_fault(c, FAULT_MEMORY, NULL);
  } else {
    *w = (waiting){.watcher.left = on_left,
                   .conn = c,
                   .of = of,
                   .wanted = wanted,
                   .status = status};
    capsule_watch(of, &w->watcher);
    c->task = (conn_task){.drop = drop_waiting, .state = w};
  }
}

/* ---- creating ------------------------------------------------------------ */

static int64_t or_default(int64_t number, int64_t standard) {
  return number > 0 ? number : standard;
}

/* Parses a reference: a name, from 0.4 on optionally after a team's slug.
 * Returns false if it is malformed. */
static bool split_reference(const conn *c, const char *given,
                            char slug[TEMPLATE_NAME_MAX + 1],
                            const char **name) {
  const char *slash = strchr(given, '/');
  *slug = '\0';
  *name = given;
  if (slash && server_of(c)->traits->has_slugs) {
    *name = slash + 1;
    if (slash - given > TEMPLATE_NAME_MAX)
      return false;
    snprintf(slug, TEMPLATE_NAME_MAX + 1, "%.*s", (int)(slash - given), given);
    if (!template_name_ok(slug))
      return false;
  }
  return template_name_ok(*name);
}

/* Copies the template; answers the request if it does not exist. */
static bool take_template(conn *c, const char *given, capsule_wishes *wishes) {
  char slug[TEMPLATE_NAME_MAX + 1];
  const char *name;
  if (!split_reference(c, given, slug, &name)) {
    api_reply_fault(c, FAULT_TEMPLATE_NAME, given);
    return false;
  }
  templates_look(&server_of(c)->templates);
  template *t = *slug ? template_by_slug(&server_of(c)->templates,
                                         request_of(c)->team, slug, name)
                      : template_find(&server_of(c)->templates,
                                      request_of(c)->team, name);
  if (t && strcmp(name, JUPYTER_TEMPLATE) == 0 &&
      !jupyter_installed(t->system)) {
    bool typed = server_of(c)->traits->typed_errors;
    api_reply_error(c, 404, typed ? "template_not_found" : "not_found", "%s",
                    JUPYTER_MISSING);
    return false;
  }
  if (!t || !t->ready) {
    api_reply_fault(c, FAULT_NO_BASE, given);
    return false;
  }
  if (t->system && (!server_of(c)->capsules.site.bwrap ||
                    access(t->system, R_OK | X_OK) != 0)) {
    bool typed = server_of(c)->traits->typed_errors;
    api_reply_error(c, 404, typed ? "template_not_found" : "not_found",
                    "the system of this template, %s, %s", t->system,
                    server_of(c)->capsules.site.bwrap
                        ? "is not there"
                        : "needs capsules with walls");
    return false;
  }
  wishes->system = t->system;
  snprintf(wishes->template, sizeof(wishes->template), "%s", name);
  if (!t->platform) { /* a snapshot has a fixed size */
    wishes->snapshot = t;
    wishes->vcpus = t->vcpus;
    wishes->memory_mb = t->memory_mb;
  }
  return true;
}

/* Copies the metadata, if the generation has any. */
static bool take_labels(conn *c, const wrenn_json *body,
                        capsule_wishes *wishes) {
  wrenn_json object;
  wrenn_buf text = {0};
  if (!server_of(c)->traits->has_labels ||
      !wrenn_json_get(body, "metadata", &object) ||
      object.type == WRENN_JSON_NULL)
    return true;
  const char *wrong = labels_read(&object, &text);
  wrenn_buf_append(&text, "", 1); /* ends the text */
  if (wrong)
    api_reply_fault(c, FAULT_METADATA, wrong);
  else if (text.oom)
    api_reply_fault(c, FAULT_MEMORY, NULL);
  else if (*text.data)
    wishes->labels = text.data;
  if (wrong || text.oom || !wishes->labels)
    wrenn_buf_free(&text);
  return !wrong && !text.oom;
}

/* Missing values and those out of range become the generation's defaults. */
static void round_wishes(const traits *t, capsule_wishes *wishes) {
  wishes->vcpus = or_default(wishes->vcpus, t->vcpus);
  wishes->memory_mb = or_default(wishes->memory_mb, t->memory_mb);
  if (!t->takes_disk_size)
    wishes->disk_size_mb = 0;
  wishes->disk_size_mb = or_default(wishes->disk_size_mb, DISK_SIZE_MB);
  if (t->keeps_timeout)
    return;
  if (wishes->timeout_sec < 0)
    wishes->timeout_sec = 0;
  else if (wishes->timeout_sec > 0 && wishes->timeout_sec < MIN_TIMEOUT)
    wishes->timeout_sec = MIN_TIMEOUT;
}

void handle_capsule_create(conn *c) {
  const traits *t = server_of(c)->traits;
  capsule_wishes wishes = {.team = request_of(c)->team};
  char *template = NULL;
  wrenn_json body;
  if (!api_body(c, &body) || !api_number(c, &body, "vcpus", &wishes.vcpus) ||
      !api_number(c, &body, "memory_mb", &wishes.memory_mb) ||
      !api_number(c, &body, "disk_size_mb", &wishes.disk_size_mb) ||
      !api_number(c, &body, "timeout_sec", &wishes.timeout_sec) ||
      !api_text(c, &body, "template", &template))
    return;
  bool ok = take_template(c, template && *template ? template : t->template,
                          &wishes) &&
            take_labels(c, &body, &wishes);
  free(template);
  if (!ok || !api_volumes(c, &body, &wishes)) {
    free(wishes.labels);
    return;
  }
  round_wishes(t, &wishes);
  capsule *made = capsule_create(&server_of(c)->capsules, &wishes);
  if (made) {
    tell(c, "capsule.create", made);
    reply_begun(c, made, CAPSULE_RUNNING, 201);
  } else {
    free(wishes.labels);
    api_reply_fault(c, FAULT_NO_ROOM, NULL);
  }
}

/* ---- the others ---------------------------------------------------------- */

void handle_capsule_list(conn *c) {
  wrenn_buf json = {0};
  json_array(&json, NULL);
  LIST_EACH (const capsule, one, &server_of(c)->capsules.list, link) {
    if (one->team != request_of(c)->team || one->status == CAPSULE_STOPPED ||
        one->status == CAPSULE_ERROR)
      continue;
    capsule_put(one, NULL, &json);
  }
  json_array_end(&json);
  conn_reply_json(c, 200, &json);
}

void handle_capsule_get(conn *c) {
  reply_capsule(c, 200, request_of(c)->capsule);
}

void handle_capsule_destroy(conn *c) {
  bool waits = server_of(c)->traits->waits;
  if (capsule_destroy(request_of(c)->capsule))
    tell(c, "capsule.destroy", request_of(c)->capsule);
  if (waits && request_of(c)->capsule->status == CAPSULE_STOPPING)
    reply_begun(c, request_of(c)->capsule, CAPSULE_STOPPED, 204);
  else
    conn_reply(c, waits ? 204 : 202, NULL, "", 0);
}

/* Changes from one status to another. If answers come at once, it is no error
 * if the capsule has that status already. */
static void change(conn *c, capsule_status from, capsule_status to,
                   void (*begin)(capsule *), const char *kind,
                   fault otherwise) {
  capsule_status now = request_of(c)->capsule->status;
  if (now == from && request_of(c)->capsule->away) {
    char text[128];
    snprintf(text, sizeof(text), "internal: sandbox not found: %s",
             request_of(c)->capsule->id);
    api_reply_fault(c, FAULT_AGENT, text);
  } else if (now == from) {
    begin(request_of(c)->capsule);
    tell(c, kind, request_of(c)->capsule);
    reply_begun(c, request_of(c)->capsule, to, 200);
  } else if (now == to && !server_of(c)->traits->waits) {
    reply_capsule(c, 202, request_of(c)->capsule);
  } else {
    api_reply_fault(c, otherwise, capsule_status_name(request_of(c)->capsule));
  }
}

void handle_capsule_pause(conn *c) {
  change(c, CAPSULE_RUNNING, CAPSULE_PAUSED, capsule_pause, "capsule.pause",
         FAULT_CANNOT_PAUSE);
}

void handle_capsule_resume(conn *c) {
  change(c, CAPSULE_PAUSED, CAPSULE_RUNNING, capsule_resume, "capsule.resume",
         FAULT_CANNOT_RESUME);
}

void handle_capsule_ping(conn *c) {
  if (request_of(c)->capsule->away) {
    api_reply_fault(c, FAULT_AWAY, request_of(c)->capsule->id);
    return;
  }
  if (request_of(c)->capsule->status != CAPSULE_RUNNING) {
    api_reply_fault(c, FAULT_CANNOT_PAUSE,
                    capsule_status_name(request_of(c)->capsule));
    return;
  }
  capsule_touch(request_of(c)->capsule);
  conn_reply(c, 204, NULL, "", 0);
}
