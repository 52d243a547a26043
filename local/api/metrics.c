/* Handler: the metrics of a capsule. A capsule is measured when its metrics are
 * requested; each second since the previous measurement then gets a point with
 * the mean. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "util/json_out.h"

#define DEFAULT_RANGE "10m"

typedef struct asking {
  conn *conn; /* NULL once the request is over */
  capsule *of;
  const char *range;
  time_t since;
} asking;

static void reply_points(conn *c, const capsule *of, const char *range,
                         time_t since) {
  wrenn_buf json = {0};
  json_object(&json, NULL);
  json_text(&json, "sandbox_id", of->id);
  json_text(&json, "range", range);
  json_array(&json, "points");
  for (size_t i = 0; i < of->metrics.count; i++) {
    const capsule_point *p = &of->metrics.points[i];
    if (p->when < since)
      continue;
    json_object(&json, NULL);
    json_int(&json, "timestamp_unix", p->when);
    json_real(&json, "cpu_pct", p->cpu_pct, 2);
    json_int(&json, "mem_bytes", p->mem_bytes);
    json_int(&json, "disk_bytes", p->disk_bytes);
    json_object_end(&json);
  }
  json_array_end(&json);
  json_object_end(&json);
  conn_reply_json(c, 200, &json);
}

static void drop_asking(conn *c) {
  asking *a = c->task.state;
  a->conn = NULL;
}

static int64_t number_of(const wrenn_json *json, const char *name) {
  wrenn_json value;
  int64_t number = 0;
  if (wrenn_json_get(json, name, &value))
    wrenn_json_int(&value, &number);
  return number;
}

/* Of all its CPUs, since the point before. */
static double cpu_pct(capsule *of, int64_t cpu_ms) {
  uint64_t now = uv_now(of->all->site.loop);
  uint64_t passed = now - of->metrics.sampled;
  int64_t used = cpu_ms - of->metrics.cpu_ms;
  of->metrics.sampled = now;
  of->metrics.cpu_ms = cpu_ms;
  if (used <= 0 || passed == 0)
    return 0;
  double pct = 100.0 * (double)used / (double)passed / (double)of->vcpus;
  return pct < 100 ? pct : 100;
}

/* The second after the last point, but not before the start or a pause. */
static time_t next_second(const capsule *of, time_t now) {
  const capsule_point *last =
      of->metrics.count ? &of->metrics.points[of->metrics.count - 1] : NULL;
  time_t next =
      last && last->when >= of->started ? last->when + 1 : of->started;
  if (next > now)
    return last && last->when == now ? now + 1 : now;
  return now - next < CAPSULE_POINTS ? next : now - CAPSULE_POINTS + 1;
}

static void on_usage(void *arg, const sandbox_reply *reply) {
  asking *a = arg;
  if (!reply->error) {
    time_t now = time(NULL);
    capsule_point point = {
        .when = next_second(a->of, now),
        .cpu_pct = cpu_pct(a->of, number_of(&reply->json, "cpu_ms")),
        .mem_bytes = number_of(&reply->json, "mem_bytes"),
        .disk_bytes = number_of(&reply->json, "disk_bytes")};
    for (; point.when <= now; point.when++)
      capsule_add_point(a->of, &point);
  }
  if (a->conn)
    reply_points(a->conn, a->of, a->range, a->since);
  free(a);
}

/* Asks the agent; returns false if that is not possible. */
static bool ask(conn *c, const char *range, time_t since) {
  wrenn_buf order = {0};
  asking *a = calloc(1, sizeof(*a));
  bool asked = false;
  if (!a)
    goto out;
  *a = (asking){c, request_of(c)->capsule, range, since};
  json_text(&order, "op", "usage");
  asked = box_order(&request_of(c)->capsule->box, &order, on_usage, a);

out:
  wrenn_buf_free(&order);
  if (asked)
    c->task = (conn_task){.drop = drop_asking, .state = a};
  else
    free(a);
  return asked;
}

void handle_metrics_get(conn *c) {
  static const struct {
    const char *name;
    time_t seconds;
  } ranges[] = {{"5m", 300},       {"10m", 600},     {"1h", 3600},
                {"2h", 2 * 3600},  {"6h", 6 * 3600}, {"12h", 12 * 3600},
                {"24h", 24 * 3600}};
  char range[8] = DEFAULT_RANGE;
  size_t i = 0, known = sizeof(ranges) / sizeof(ranges[0]);
  capsule_status status = request_of(c)->capsule->status;
  api_query(c, "range", range, sizeof(range));
  while (i < known &&
         strcmp(ranges[i].name, *range ? range : DEFAULT_RANGE) != 0)
    i++;
  if (i == known) {
    api_reply_error(c, 400, "invalid_request",
                    "range must be one of: 5m, 10m, 1h, 2h, 6h, 12h, 24h");
    return;
  }
  time_t since = time(NULL) - ranges[i].seconds;
  if (request_of(c)->capsule->away)
    api_reply_fault(c, FAULT_AWAY, request_of(c)->capsule->id);
  else if (status != CAPSULE_RUNNING && status != CAPSULE_PAUSED)
    api_reply_error(c, 404, "not_found",
                    "metrics not available for sandbox in state: %s",
                    capsule_status_name(request_of(c)->capsule));
  else if (status == CAPSULE_PAUSED || !ask(c, ranges[i].name, since))
    reply_points(c, request_of(c)->capsule, ranges[i].name, since);
}
