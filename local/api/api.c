#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/route.h"

#define KEY_SIZE 128 /* longer text is truncated, and then equals no key */

/* How a request is served. */
typedef enum route_kind {
  WHOLE,   /* called when the request is complete */
  PUBLIC,  /* the same, without a key */
  AT_HEAD, /* called when the head is complete: the handler receives the body */
  UPGRADE  /* as WHOLE, for WebSockets only */
} route_kind;

typedef struct route {
  method method;
  const char *pattern; /* a : is a selector; below /v1/capsules, the first one
                          is an id */
  void (*handle)(conn *c);
  route_kind kind;
} route;

static const route routes[] = {
    {METHOD_GET, "/health", handle_health_get, PUBLIC},
    {METHOD_POST, "/v1/capsules", handle_capsule_create, WHOLE},
    {METHOD_GET, "/v1/capsules", handle_capsule_list, WHOLE},
    {METHOD_GET, "/v1/capsules/stats", handle_stats_get, WHOLE},
    {METHOD_GET, "/v1/capsules/usage", handle_usage_get, WHOLE},
    {METHOD_GET, "/v1/capsules/:", handle_capsule_get, WHOLE},
    {METHOD_DELETE, "/v1/capsules/:", handle_capsule_destroy, WHOLE},
    {METHOD_POST, "/v1/capsules/:/pause", handle_capsule_pause, WHOLE},
    {METHOD_POST, "/v1/capsules/:/resume", handle_capsule_resume, WHOLE},
    {METHOD_POST, "/v1/capsules/:/ping", handle_capsule_ping, WHOLE},
    {METHOD_GET, "/v1/capsules/:/metrics", handle_metrics_get, WHOLE},
    {METHOD_POST, "/v1/capsules/:/exec", handle_command_run, WHOLE},
    {METHOD_GET, "/v1/capsules/:/exec/stream", handle_command_stream, UPGRADE},
    {METHOD_GET, "/v1/capsules/:/processes", handle_process_list, WHOLE},
    {METHOD_DELETE, "/v1/capsules/:/processes/:", handle_process_kill, WHOLE},
    {METHOD_GET, "/v1/capsules/:/processes/:/stream", handle_process_stream,
     UPGRADE},
    {METHOD_GET, "/v1/capsules/:/pty", handle_terminal_open, UPGRADE},
    {METHOD_POST, "/v1/capsules/:/files/read", handle_file_read, WHOLE},
    {METHOD_POST, "/v1/capsules/:/files/stream/read", handle_file_stream_read,
     WHOLE},
    {METHOD_POST, "/v1/capsules/:/files/list", handle_file_list, WHOLE},
    {METHOD_POST, "/v1/capsules/:/files/mkdir", handle_file_mkdir, WHOLE},
    {METHOD_POST, "/v1/capsules/:/files/remove", handle_file_remove, WHOLE},
    {METHOD_POST, "/v1/capsules/:/files/write", handle_file_write, AT_HEAD},
    {METHOD_POST, "/v1/capsules/:/files/stream/write", handle_file_stream_write,
     AT_HEAD},
    {METHOD_POST, "/v1/snapshots", handle_snapshot_create, WHOLE},
    {METHOD_GET, "/v1/snapshots", handle_snapshot_list, WHOLE},
    {METHOD_DELETE, "/v1/snapshots/:", handle_snapshot_delete, WHOLE},
    {METHOD_PATCH, "/v1/snapshots/:", handle_snapshot_rename, WHOLE},
    {METHOD_PATCH, "/v1/snapshots/:/visibility", handle_snapshot_publish,
     WHOLE},
    {METHOD_POST, "/v1/volumes", handle_volume_create, WHOLE},
    {METHOD_GET, "/v1/volumes", handle_volume_list, WHOLE},
    {METHOD_GET, "/v1/volumes/:", handle_volume_get, WHOLE},
    {METHOD_DELETE, "/v1/volumes/:", handle_volume_delete, WHOLE},
    {METHOD_GET, "/v1/events/stream", handle_event_stream, WHOLE},
};

/* Endpoints of later generations; method -1 means any. */
static const struct {
  const char *below;
  int method;
  generation since;
} later[] = {{"/v1/events", -1, GENERATION_0_2},
             {"/v1/volumes", -1, GENERATION_0_4},
             {"/v1/snapshots", METHOD_PATCH, GENERATION_0_4}};

/* Endpoints that the real server only offers to signed-in people, not to
 * keys. */
static const char *const session_only[] = {
    "/v1/auth",  "/v1/me",       "/v1/api-keys",   "/v1/teams", "/v1/users",
    "/v1/hosts", "/v1/channels", "/v1/audit-logs", "/v1/admin"};

/* ---- checks -------------------------------------------------------------- */

/* Compares in constant time, so that the time does not tell how much of a key
 * is right. */
static bool is_key(const char *sent, const char *key) {
  char wanted[KEY_SIZE] = "", given[KEY_SIZE] = "";
  unsigned char differs = 0;
  snprintf(wanted, sizeof(wanted), "%s", key);
  snprintf(given, sizeof(given), "%s", sent);
  for (size_t i = 0; i < sizeof(wanted); i++)
    differs |= (unsigned char)(given[i] ^ wanted[i]);
  return !differs;
}

static int team_of(const conn *c) {
  char key[KEY_SIZE];
  int team = -1;
  conn_header(c, "x-api-key", key, sizeof(key));
  for (int i = 0; i < server_of(c)->teams; i++)
    if (is_key(key, server_of(c)->keys[i]))
      team = i;
  return team;
}

/* The fault for a request without a valid key. */
static fault key_fault(const conn *c) {
  char text[16];
  conn_header(c, "x-api-key", text, sizeof(text));
  if (*text)
    return FAULT_WRONG_KEY;
  conn_header(c, "authorization", text, sizeof(text));
  return strncasecmp(text, "Bearer ", 7) == 0 && text[7] ? FAULT_TOKEN
                                                         : FAULT_NO_KEY;
}

static bool key_is_right(const conn *c) { return request_of(c)->team >= 0; }

/* Finds a capsule of the team; those of other teams are not found. */
static capsule *find_own(const conn *c, const char *id) {
  capsule *found = capsule_find(&server_of(c)->capsules, id);
  return found && found->team == request_of(c)->team ? found : NULL;
}

static bool has_key(conn *c) {
  if (key_is_right(c))
    return true;
  api_reply_fault(c, key_fault(c), NULL);
  return false;
}

/* Finds the capsule that the path names. */
static bool find_capsule(conn *c, const route_value *value) {
  char *id = route_decode(value);
  bool ok = id && capsule_id_ok(id);
  if (!ok)
    api_reply_fault(c, FAULT_CAPSULE_ID, NULL);
  else
    request_of(c)->capsule = find_own(c, id);
  free(id);
  return ok;
}

bool api_running(conn *c, bool with_status) {
  if (request_of(c)->capsule->away) {
    api_reply_fault(c, FAULT_AWAY, request_of(c)->capsule->id);
    return false;
  }
  if (request_of(c)->capsule->status == CAPSULE_RUNNING)
    return true;
  api_reply_fault(c, with_status ? FAULT_NOT_RUNNING : FAULT_FILES_NOT_READY,
                  capsule_status_name(request_of(c)->capsule));
  return false;
}

bool api_body(conn *c, wrenn_json *body) {
  const char *why;
  if (c->body.len > 0 && !c->body.oom &&
      wrenn_json_parse(c->body.data, c->body.len, body, &why) &&
      body->type == WRENN_JSON_OBJECT)
    return true;
  api_reply_fault(c, FAULT_JSON, NULL);
  return false;
}

/* A string that contains a NUL is not valid. */
static bool read_text(const wrenn_json *from, const char *name, char **text) {
  wrenn_json value;
  *text = NULL;
  if (!wrenn_json_get(from, name, &value) || value.type == WRENN_JSON_NULL)
    return true;
  if (value.type != WRENN_JSON_STRING)
    return false;
  *text = malloc(value.len + 1);
  if (!*text)
    return false;
  size_t len = wrenn_json_decode(&value, *text);
  (*text)[len] = '\0';
  if (strlen(*text) == len)
    return true;
  free(*text);
  *text = NULL;
  return false;
}

bool api_text(conn *c, const wrenn_json *body, const char *name, char **text) {
  if (read_text(body, name, text))
    return true;
  api_reply_fault(c, FAULT_JSON, NULL);
  return false;
}

static bool read_number(conn *c, const wrenn_json *body, const char *name,
                        int64_t least, int64_t most, int64_t *number) {
  wrenn_json value;
  int64_t read;
  if (!wrenn_json_get(body, name, &value) || value.type == WRENN_JSON_NULL)
    return true;
  if (wrenn_json_int(&value, &read) && read >= least && read <= most) {
    *number = read;
    return true;
  }
  api_reply_fault(c, FAULT_JSON, NULL);
  return false;
}

bool api_number(conn *c, const wrenn_json *body, const char *name,
                int64_t *number) {
  return read_number(c, body, name, INT32_MIN, INT32_MAX, number);
}

bool api_unsigned(conn *c, const wrenn_json *body, const char *name,
                  int64_t *number) {
  return read_number(c, body, name, 0, UINT32_MAX, number);
}

char *api_path(conn *c, const wrenn_json *body) {
  char *path;
  if (!api_text(c, body, "path", &path))
    return NULL;
  if (path && *path)
    return path;
  free(path);
  api_reply_fault(c, FAULT_FIELD, "path");
  return NULL;
}

static bool all_strings(const wrenn_json *container) {
  wrenn_json_iter it;
  wrenn_json key, value;
  wrenn_json_walk(&it, container);
  while (wrenn_json_next(&it, &key, &value) > 0)
    if (value.type != WRENN_JSON_STRING)
      return false;
  return true;
}

/* A member that is an object or array of strings, or absent. */
static bool read_strings(const wrenn_json *from, const char *name,
                         wrenn_json_type type, wrenn_json *value) {
  if (!wrenn_json_get(from, name, value) || value->type == WRENN_JSON_NULL) {
    *value = (wrenn_json){.type = WRENN_JSON_NULL};
    return true;
  }
  return value->type == type && all_strings(value);
}

bool api_plan_read(const wrenn_json *from, bool command_only, api_plan *p) {
  *p = (api_plan){0};
  p->plan.envs.type = WRENN_JSON_NULL;
  bool ok = read_text(from, "cmd", &p->cmd) &&
            read_strings(from, "args", WRENN_JSON_ARRAY, &p->plan.args);
  if (ok && !command_only)
    ok = read_text(from, "cwd", &p->cwd) && read_text(from, "tag", &p->tag) &&
         read_strings(from, "envs", WRENN_JSON_OBJECT, &p->plan.envs);
  if (!ok) {
    api_plan_free(p);
    return false;
  }
  p->plan.cmd = p->cmd ? p->cmd : "";
  p->plan.cwd = p->cwd ? p->cwd : "";
  p->plan.tag = p->tag && *p->tag ? p->tag : NULL;
  return true;
}

bool api_query(const conn *c, const char *name, char *value, size_t size) {
  size_t len = strlen(name);
  for (const char *at = c->query; at; at = strchr(at, '&')) {
    at += *at == '&';
    if (strncmp(at, name, len) != 0 || at[len] != '=')
      continue;
    const route_value raw = {at + len + 1, strcspn(at + len + 1, "&")};
    char *text = route_decode_query(&raw);
    bool fits = text && strlen(text) < size;
    snprintf(value, size, "%s", fits ? text : "?");
    free(text);
    return true;
  }
  return false;
}

void api_plan_free(api_plan *p) {
  free(p->cmd);
  free(p->cwd);
  free(p->tag);
  *p = (api_plan){0};
}

/* ---- dispatch ------------------------------------------------------------ */

static bool is_served(const conn *c, const route *r) {
  for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
    if (route_below(later[i].below, r->pattern) &&
        (later[i].method < 0 || later[i].method == (int)r->method))
      return server_of(c)->generation >= later[i].since;
  return true;
}

static const route *find_route(const conn *c, route_value values[ROUTE_VALUES],
                               bool *known_path) {
  *known_path = false;
  for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
    if (!is_served(c, &routes[i]) ||
        !route_match(routes[i].pattern, c->target, values))
      continue;
    *known_path = true;
    if (routes[i].method == c->parser.method)
      return &routes[i];
  }
  return NULL;
}

static bool take_selector(conn *c, const route_value *value) {
  request_of(c)->selector = server_of(c)->traits->friendly
                                ? route_decode(value)
                                : route_take(c->target, value);
  if (!request_of(c)->selector)
    api_reply_fault(c, FAULT_REQUEST, "invalid selector");
  return request_of(c)->selector != NULL;
}

/* Checks a request before its handler sees it, and answers it if a check fails.
 * The order is the real server's: key, id, capsule. */
static bool admit(conn *c, const route *r, const route_value *values) {
  bool later = r->kind == UPGRADE && c->upgrade &&
               server_of(c)->traits->opens_to_strangers;
  if (r->kind != PUBLIC && !later && !has_key(c))
    return false;
  if (!strchr(r->pattern, ':'))
    return true;
  if (!route_below("/v1/capsules", r->pattern))
    return take_selector(c, &values[0]);
  if (!find_capsule(c, &values[0]))
    return false;
  if (later && !key_is_right(c)) {
    api_refuse_stranger(c, r->handle == handle_terminal_open);
    return false;
  }
  /* WebSockets say that there is no such capsule after the upgrade. */
  if (!request_of(c)->capsule && r->kind != UPGRADE) {
    api_reply_fault(c, FAULT_NO_CAPSULE, NULL);
    return false;
  }
  const char *second = strchr(strchr(r->pattern, ':') + 1, ':');
  return !second || take_selector(c, &values[1]);
}

static void reply_unknown(conn *c, bool known_path) {
  static const char text[] = "404 page not found\n";
  size_t count = sizeof(session_only) / sizeof(session_only[0]);
  for (size_t i = 0; i < count; i++)
    if (route_below(session_only[i], c->target)) {
      api_reply_fault(c, FAULT_SESSION_ONLY, NULL);
      return;
    }
  if (known_path)
    conn_reply(c, 405, NULL, "", 0);
  else
    conn_reply(c, 404, "text/plain; charset=utf-8", text, sizeof(text) - 1);
}

/* Whether a request has to be refused to let others finish. Requests that only
 * read need less than those that start something, and those that end something
 * free descriptors. */
static bool is_crowded(conn *c, const route *r) {
  bool looks = r && r->method == METHOD_GET && r->kind != UPGRADE;
  bool scarce = conn_is_spare(c);
  if (scarce)
    c->keep_alive = false;
  if (r && r->method == METHOD_DELETE)
    return false;
  return scarce || (!looks && http_server_is_full(c->server, SPARE_FOR_WORK));
}

bool api_crowded(conn *c) {
  request *q = request_of(c);
  q->crowded = is_crowded(c, NULL);
  if (q->crowded)
    conn_refuse(c);
  return q->crowded;
}

void api_reply_crowded(conn *c) {
  char text[128];
  snprintf(text, sizeof(text),
           "too many open files: the server may have %llu (RLIMIT_NOFILE,"
           " ulimit -Hn)",
           (unsigned long long)c->server->open_files);
  api_reply_fault(c, FAULT_OPEN_FILES, text);
}

void api_forget(conn *c) { free(request_of(c)->selector); }

/* Calls a handler that receives the body itself. */
static void begin(conn *c, const route *r, const route_value *value) {
  char *id = route_decode(value);
  request_of(c)->capsule = id ? find_own(c, id) : NULL;
  free(id);
  r->handle(c);
}

void api_begin(conn *c) {
  route_value values[ROUTE_VALUES];
  bool known_path;
  request *q = request_of(c);
  q->team = team_of(c);
  const route *r = find_route(c, values, &known_path);
  bool admitted = r && (r->kind == PUBLIC || key_is_right(c));
  q->crowded = is_crowded(c, r);
  if (q->crowded || !admitted)
    conn_refuse(c);
  else if (r->kind == AT_HEAD)
    begin(c, r, &values[0]);
}

void api_request(conn *c) {
  route_value values[ROUTE_VALUES];
  bool known_path;
  const route *r = find_route(c, values, &known_path);
  if (!r) {
    reply_unknown(c, known_path);
  } else if (!admit(c, r, values)) {
    return; /* answered */
  } else if (request_of(c)->crowded) {
    api_reply_crowded(c);
  } else if (c->verdict == CONN_TOO_LARGE) {
    api_reply_fault(c, FAULT_BODY_SIZE, NULL);
  } else if (r->kind == UPGRADE && !c->upgrade) {
    conn_reply(c, 400, "text/plain; charset=utf-8", "Bad Request\n", 12);
  } else if (r->kind != AT_HEAD) {
    r->handle(c);
  } else if (c->task.end) {
    c->task.end(c);
  } else {
    api_reply_fault(c, FAULT_MEMORY, NULL);
  }
}
