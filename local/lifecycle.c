/* Handlers: capsules and their status. */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "jupyter.h"

#define MIN_TIMEOUT 60

void handle_health(conn *c) {
  wrenn_buf json = {0};
  wrenn_buf_printf(&json, "{\"status\":\"ok\",\"version\":\"%s\"}\n",
                   generation_version(c->server->generation));
  conn_reply_json(c, 200, &json);
}

static void reply_capsule(conn *c, int status, const capsule *shown) {
  wrenn_buf json = {0};
  capsule_put(shown, &json);
  wrenn_buf_puts(&json, "\n");
  conn_reply_json(c, status, &json);
}

static bool name_ok(const char *name) {
  static const char first[] = "abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  size_t len = strlen(name);
  return len > 0 && len <= 64 && strchr(first, name[0]) &&
         strspn(name, "._-abcdefghijklmnopqrstuvwxyz"
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == len;
}

static int64_t or_default(int64_t number, int64_t standard) {
  return number > 0 ? number : standard;
}

/* Takes the template over; answers the request when it is not one of ours. */
static bool take_template(conn *c, const char *name, capsule_wishes *wishes) {
  if (!name_ok(name)) {
    conn_reply_error(c, 400, "invalid_request", "invalid template name: %s",
                     name);
    return false;
  }
  bool runner = strcmp(name, JUPYTER_TEMPLATE) == 0;
  if (runner && !jupyter_installed()) {
    conn_reply_error(c, 404,
                     c->server->generation >= GENERATION_0_3
                         ? "template_not_found"
                         : "not_found",
                     "%s", JUPYTER_MISSING);
    return false;
  }
  if (!runner && strcmp(name, "minimal") != 0 &&
      strcmp(name, "minimal-ubuntu") != 0) {
    conn_reply_error(c, 404, "not_found", "template not found");
    return false;
  }
  strcpy(wishes->template, name);
  return true;
}

void handle_create(conn *c) {
  capsule_wishes wishes = {0};
  char *template = NULL;
  wrenn_json body;
  if (!api_body(c, &body) || !api_number(c, &body, "vcpus", &wishes.vcpus) ||
      !api_number(c, &body, "memory_mb", &wishes.memory_mb) ||
      !api_number(c, &body, "disk_size_mb", &wishes.disk_size_mb) ||
      !api_number(c, &body, "timeout_sec", &wishes.timeout_sec) ||
      !api_text(c, &body, "template", &template))
    return;
  bool ok =
      take_template(c, template && *template ? template : "minimal", &wishes);
  free(template);
  if (!ok)
    return;
  wishes.vcpus = or_default(wishes.vcpus, 1);
  wishes.memory_mb = or_default(wishes.memory_mb, 512);
  wishes.disk_size_mb = or_default(wishes.disk_size_mb, 5120);
  if (wishes.timeout_sec < 0)
    wishes.timeout_sec = 0;
  else if (wishes.timeout_sec > 0 && wishes.timeout_sec < MIN_TIMEOUT)
    wishes.timeout_sec = MIN_TIMEOUT;
  capsule *made = capsule_create(&c->server->capsules, &wishes);
  if (made)
    reply_capsule(c, 202, made);
  else
    conn_reply_error(c, 503, "no_hosts_available",
                     "no servers available — try again later");
}

void handle_capsules(conn *c) {
  wrenn_buf json = {0};
  wrenn_buf_puts(&json, "[");
  for (capsule *one = c->server->capsules.first; one; one = one->next) {
    if (one->status == CAPSULE_STOPPED || one->status == CAPSULE_ERROR)
      continue;
    if (json.len > 1)
      wrenn_buf_puts(&json, ",");
    capsule_put(one, &json);
  }
  wrenn_buf_puts(&json, "]\n");
  conn_reply_json(c, 200, &json);
}

void handle_get(conn *c) { reply_capsule(c, 200, c->capsule); }

void handle_destroy(conn *c) {
  capsule_destroy(c->capsule);
  conn_reply(c, 202, NULL, "", 0);
}

/* A change from one status to another; a capsule that is there already is as
 * good. */
static void change(conn *c, capsule_status from, capsule_status to,
                   void (*begin)(capsule *), const char *refusal) {
  capsule_status now = c->capsule->status;
  if (now == from)
    begin(c->capsule);
  if (now == from || now == to)
    reply_capsule(c, 202, c->capsule);
  else
    conn_reply_error(c, 409, "invalid_state", "%s (status: %s)", refusal,
                     capsule_status_name(c->capsule));
}

void handle_pause(conn *c) {
  change(c, CAPSULE_RUNNING, CAPSULE_PAUSED, capsule_pause,
         "sandbox is not running");
}

void handle_resume(conn *c) {
  change(c, CAPSULE_PAUSED, CAPSULE_RUNNING, capsule_resume,
         "sandbox is not paused");
}

void handle_ping(conn *c) {
  if (!api_running(c, true))
    return;
  capsule_touch(c->capsule);
  conn_reply(c, 204, NULL, "", 0);
}
