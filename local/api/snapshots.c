/* Handlers: templates, and snapshots of capsules, which create them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "model/events.h"
#include "model/templates.h"
#include "util/clock.h"
#include "util/json_out.h"
#include "util/random.h"

#define PER_PAGE 50
#define PER_PAGE_MAX 200

static bool since(const conn *c, generation g) {
  return server_of(c)->generation >= g;
}

/* Codes that later generations have renamed. */
static const char *code_of(const conn *c, const char *before,
                           const char *from_0_3) {
  return since(c, GENERATION_0_3) ? from_0_3 : before;
}

/* ---- POST /v1/snapshots -------------------------------------------------- */

/* The time between the end of the copy, when the capsule continues, and the
 * appearance of the template in the list. */
#define SETTLE_MS 100

typedef struct making {
  conn *conn; /* the request that waits for the end; or NULL */
  uv_timer_t timer;
  int64_t bytes;
  server *server;
  template *made;
} making;

static void drop_making(conn *c) {
  making *m = c->task.state;
  m->conn = NULL;
}

static void reply_made(making *m, const char *error) {
  wrenn_buf json = {0};
  if (error) {
    api_reply_error(m->conn, 500, "internal_error", "snapshot failed: %s",
                    error);
    return;
  }
  template_put(m->made, m->made->team, &json);
  conn_reply_json(m->conn, 201, &json);
}

static void on_timer_closed(uv_handle_t *handle) {
  making *m = handle->data;
  capsules_release(&m->server->capsules);
  free(m);
}

/* Waiting requests are answered before the template may be deleted. */
static void complete(making *m, const char *error) {
  if (!error && !template_complete(m->made, m->bytes))
    error = "the record cannot be written";
  events_act(m->server->capsules.events,
             &(event){.kind = "template.snapshot.create",
                      .team = m->made->team,
                      .snapshot = m->made->name,
                      .system = true,
                      .error = error});
  if (m->conn)
    reply_made(m, error);
  if (error)
    template_remove(m->made);
  uv_close((uv_handle_t *)&m->timer, on_timer_closed);
}

static void on_settled(uv_timer_t *timer) { complete(timer->data, NULL); }

static void on_made(void *arg, const char *error, int64_t bytes) {
  making *m = arg;
  m->bytes = bytes;
  if (error || m->conn || m->server->capsules.ending)
    complete(m, error);
  else
    uv_timer_start(&m->timer, on_settled,
                   clock_ms("WRENN_LOCAL_SETTLE_MS", SETTLE_MS), 0);
}

/* Chooses the requested name or a free one; false if it is refused. */
static bool take_name(conn *c, const char *asked,
                      char name[TEMPLATE_NAME_MAX + 1]) {
  templates *all = &server_of(c)->templates;
  if (asked && *asked) {
    if (!template_name_ok(asked)) {
      api_reply_fault(c, FAULT_SNAPSHOT_NAME, asked);
      return false;
    }
    snprintf(name, TEMPLATE_NAME_MAX + 1, "%s", asked);
  } else {
    do {
      int len = snprintf(name, TEMPLATE_NAME_MAX + 1, "template-");
      random_hex(name + len, 8);
    } while (template_find(all, request_of(c)->team, name));
  }
  templates_look(all);
  const template *taken = template_find(all, request_of(c)->team, name);
  if (!taken)
    return true;
  if (since(c, GENERATION_0_3))
    api_reply_error(c, 409, "conflict",
                    "A snapshot named \"%s\" already "
                    "exists.",
                    name);
  else if (taken->platform)
    api_reply_error(c, 409, "name_reserved",
                    "the name %s is reserved for a platform template", name);
  else
    api_reply_error(c, 409, "template_name_taken",
                    "a template named %s exists already", name);
  return false;
}

static void reply_busy(conn *c, const capsule *of) {
  api_reply_details(c, 409, code_of(c, "invalid_state", "conflict"), "status",
                    capsule_status_name(of),
                    server_of(c)->traits->typed_errors
                        ? "Sandbox must be running or paused to snapshot."
                        : "sandbox must be running or paused");
}

/* The capsule to copy; NULL if the request has been answered. */
static capsule *take_capsule(conn *c, const char *id) {
  capsule *of =
      capsule_id_ok(id) ? capsule_find(&server_of(c)->capsules, id) : NULL;
  if (of && of->team != request_of(c)->team)
    of = NULL;
  bool typed = server_of(c)->traits->typed_errors;
  if (!capsule_id_ok(id))
    api_reply_error(c, 400, "invalid_request", "%s",
                    typed ? "Invalid sandbox ID." : "invalid sandbox_id");
  else if (!of)
    api_reply_fault(c, FAULT_NO_CAPSULE, NULL);
  else if (of->away)
    api_reply_fault(c, FAULT_AWAY, of->id);
  else if (of->status != CAPSULE_RUNNING && of->status != CAPSULE_PAUSED)
    reply_busy(c, of);
  else if (of->volume_count > 0)
    api_reply_error(c, 409, "volumes_attached",
                    "A capsule with volumes cannot be snapshotted.");
  else
    return of;
  return NULL;
}

static bool begin(conn *c, capsule *of, const char *name) {
  making *m = calloc(1, sizeof(*m));
  bool begun = false;
  if (!m)
    return false;
  m->server = server_of(c);
  capsules_hold(&server_of(c)->capsules);
  uv_timer_init(c->server->loop, &m->timer);
  m->timer.data = m;
  m->made = template_make(&server_of(c)->templates, name, of);
  if (m->made)
    begun = capsule_copy(of, m->made, on_made, m);
  if (begun)
    events_act(server_of(c)->capsules.events,
               &(event){.kind = "template.snapshot.create",
                        .team = request_of(c)->team,
                        .snapshot = m->made->name});
  if (begun && !since(c, GENERATION_0_2_2)) {
    m->conn = c;
    c->task = (conn_task){.drop = drop_making, .state = m};
  } else if (!begun) {
    if (m->made)
      template_remove(m->made);
    uv_close((uv_handle_t *)&m->timer, on_timer_closed);
  }
  return begun;
}

static void reply_accepted(conn *c, const capsule *of) {
  wrenn_buf json = {0};
  capsule_put(of, NULL, &json);
  conn_reply_json(c, 202, &json);
}

void handle_snapshot_create(conn *c) {
  char name[TEMPLATE_NAME_MAX + 1];
  char *id = NULL, *asked = NULL;
  capsule *of = NULL;
  wrenn_json body;
  if (!api_body(c, &body) || !api_text(c, &body, "sandbox_id", &id) ||
      !api_text(c, &body, "name", &asked))
    goto out;
  if (!id || !*id)
    api_reply_fault(c, FAULT_FIELD, "sandbox_id");
  else if (take_name(c, asked, name))
    of = take_capsule(c, id);
  if (of && !begin(c, of, name))
    api_reply_fault(c, FAULT_UNREACHABLE, NULL);
  else if (of && since(c, GENERATION_0_2_2))
    reply_accepted(c, of);

out:
  free(id);
  free(asked);
}

/* ---- GET /v1/snapshots --------------------------------------------------- */

typedef struct wanted {
  int team;
  char type[16], q[128];
  int64_t page, per_page;
} wanted;

/* A value out of range becomes the nearest valid one. */
static int64_t number_in(const conn *c, const char *name, int64_t standard,
                         int64_t most) {
  char text[32];
  if (!api_query(c, name, text, sizeof(text)) || !*text)
    return standard;
  long long number = strtoll(text, NULL, 10);
  return number < 1 ? 1 : number > most ? most : number;
}

static bool is_wanted(const template *t, const wanted *w) {
  char slug[TEMPLATE_SLUG_SIZE];
  if (!t->ready || !template_shown(t, w->team) ||
      (*w->type && strcmp(w->type, t->platform ? "base" : "snapshot") != 0))
    return false;
  return !*w->q || strcasestr(t->name, w->q) ||
         strcasestr(template_slug(t, slug), w->q);
}

static int64_t put_templates(const templates *all, const wanted *w,
                             wrenn_buf *out) {
  int64_t count = 0, skipped = (w->page - 1) * w->per_page;
  LIST_EACH (const template, t, &all->list, link) {
    if (!is_wanted(t, w))
      continue;
    if (count >= skipped && count < skipped + w->per_page)
      template_put(t, w->team, out);
    count++;
  }
  return count;
}

void handle_snapshot_list(conn *c) {
  wanted w = {.team = request_of(c)->team, .page = 1, .per_page = INT32_MAX};
  bool paged = since(c, GENERATION_0_4);
  templates_look(&server_of(c)->templates);
  wrenn_buf json = {0};
  api_query(c, "type", w.type, sizeof(w.type));
  if (paged) {
    api_query(c, "q", w.q, sizeof(w.q));
    w.page = number_in(c, "page", 1, INT32_MAX);
    w.per_page = number_in(c, "per_page", PER_PAGE, PER_PAGE_MAX);
  }
  if (paged)
    json_object(&json, NULL);
  json_array(&json, paged ? "templates" : NULL);
  int64_t total = put_templates(&server_of(c)->templates, &w, &json);
  json_array_end(&json);
  if (paged) {
    json_int(&json, "total", total);
    json_int(&json, "page", w.page);
    json_int(&json, "per_page", w.per_page);
    json_int(&json, "total_pages", (total + w.per_page - 1) / w.per_page);
    json_object_end(&json);
  }
  conn_reply_json(c, 200, &json);
}

/* ---- one of them --------------------------------------------------------- */

/* The team's snapshot that the path names; NULL if the request has been
 * answered. `verb` is what cannot be done with a platform's template. */
static template *find_own(conn *c, const char *verb) {
  template *t = NULL;
  if (!template_name_ok(request_of(c)->selector)) {
    api_reply_fault(c, FAULT_SNAPSHOT_NAME, request_of(c)->selector);
    return NULL;
  }
  t = template_find(&server_of(c)->templates, request_of(c)->team,
                    request_of(c)->selector);
  if (!t || !t->ready)
    api_reply_fault(c, FAULT_NO_TEMPLATE, request_of(c)->selector);
  else if (t->platform)
    api_reply_error(c, 403, code_of(c, "forbidden", "template_protected"),
                    "platform templates cannot be %s here", verb);
  else
    return t;
  return NULL;
}

static void reply_unsaved(conn *c) {
  api_reply_error(c, 500, "internal_error", "the record cannot be written");
}

void handle_snapshot_delete(conn *c) {
  char name[TEMPLATE_NAME_MAX + 1];
  template *t = find_own(c, "deleted");
  if (!t)
    return;
  snprintf(name, sizeof(name), "%s", t->name);
  if (!template_remove(t)) {
    reply_unsaved(c);
    return;
  }
  events_act(server_of(c)->capsules.events,
             &(event){.kind = "template.snapshot.delete",
                      .team = request_of(c)->team,
                      .snapshot = name});
  conn_reply(c, 204, NULL, "", 0);
}

static void reply_saved(conn *c, const template *t) {
  if (template_save(t))
    conn_reply(c, 204, NULL, "", 0);
  else
    reply_unsaved(c);
}

void handle_snapshot_rename(conn *c) {
  char *name = NULL;
  wrenn_json body;
  if (!api_body(c, &body) || !api_text(c, &body, "new_name", &name))
    return;
  template *t = NULL;
  if (!name || !template_name_ok(name))
    api_reply_fault(c, FAULT_SNAPSHOT_NAME, name ? name : "");
  else
    t = find_own(c, "renamed");
  if (t && template_find(&server_of(c)->templates, request_of(c)->team, name)) {
    api_reply_error(c, 409, "conflict",
                    "A template named \"%s\" already exists.", name);
  } else if (t) {
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->public = false; /* references use the old name */
    reply_saved(c, t);
  }
  free(name);
}

void handle_snapshot_publish(conn *c) {
  wrenn_json body, value;
  if (!api_body(c, &body))
    return;
  if (!wrenn_json_get(&body, "public", &value) ||
      value.type != WRENN_JSON_BOOL) {
    api_reply_error(c, 400, "invalid_request", "public must be a boolean");
    return;
  }
  template *t =
      template_name_ok(request_of(c)->selector)
          ? template_find(&server_of(c)->templates, request_of(c)->team,
                          request_of(c)->selector)
          : NULL;
  if (!t || !t->ready || t->platform) {
    api_reply_fault(c, FAULT_NO_TEMPLATE, request_of(c)->selector);
    return;
  }
  t->public = wrenn_json_true(&value);
  reply_saved(c, t);
}
