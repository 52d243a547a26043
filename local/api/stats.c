/* Handlers: the team's numbers. */
#include "model/stats.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "util/clock.h"
#include "util/json_out.h"

/* ---- GET /v1/capsules/stats ---------------------------------------------- */

static void put_series(const stats *s, wrenn_buf *out, time_t since,
                       const char *name, size_t field) {
  json_array(out, name);
  const stats_sample *one;
  for (size_t i = 0; (one = stats_at(s, i)); i++) {
    int64_t number;
    if (one->when < since)
      continue;
    if (field == offsetof(stats_sample, when)) {
      json_time(out, NULL, one->when);
    } else {
      memcpy(&number, (const char *)one + field, sizeof(number));
      json_int(out, NULL, number);
    }
  }
  json_array_end(out);
}

void handle_stats_get(conn *c) {
  static const struct {
    const char *name;
    time_t seconds;
  } ranges[] = {{"5m", 300},
                {"1h", 3600},
                {"6h", 6 * 3600},
                {"24h", STATS_DAY},
                {"30d", 30 * STATS_DAY}};
  char range[8] = "1h";
  size_t i = 0, known = sizeof(ranges) / sizeof(ranges[0]);
  stats *s = server_of(c)->stats[request_of(c)->team];
  api_query(c, "range", range, sizeof(range));
  while (i < known && strcmp(ranges[i].name, *range ? range : "1h") != 0)
    i++;
  if (i == known) {
    api_reply_error(c, 400, "invalid_request",
                    "range must be one of: 5m, 1h, 6h, 24h, 30d");
    return;
  }
  wrenn_buf json = {0};
  stats_sample now = stats_count(s), peaks = stats_peaks(s);
  time_t since = now.when - ranges[i].seconds;
  json_object(&json, NULL);
  json_text(&json, "range", ranges[i].name);
  json_object(&json, "current");
  json_int(&json, "running_count", now.running);
  json_int(&json, "vcpus_reserved", now.vcpus);
  json_int(&json, "memory_mb_reserved", now.memory_mb);
  json_object_end(&json);
  json_object(&json, "peaks");
  json_int(&json, "running_count", peaks.running);
  json_int(&json, "vcpus", peaks.vcpus);
  json_int(&json, "memory_mb", peaks.memory_mb);
  json_object_end(&json);
  json_object(&json, "series");
  put_series(s, &json, since, "labels", offsetof(stats_sample, when));
  put_series(s, &json, since, "running", offsetof(stats_sample, running));
  put_series(s, &json, since, "vcpus", offsetof(stats_sample, vcpus));
  put_series(s, &json, since, "memory_mb", offsetof(stats_sample, memory_mb));
  json_object_end(&json);
  json_object_end(&json);
  conn_reply_json(c, 200, &json);
}

/* ---- GET /v1/capsules/usage ---------------------------------------------- */

/* Reads a date as a number of days; *number is unchanged if it is missing.
 * False if the request has been answered. */
static bool read_date(conn *c, const char *name, int64_t *number) {
  char text[16];
  struct tm utc = {0};
  if (!api_query(c, name, text, sizeof(text)) || !*text)
    return true;
  const char *end = strptime(text, "%Y-%m-%d", &utc);
  time_t when = end && !*end && strlen(text) == 10 ? timegm(&utc) : -1;
  if (when < 0) {
    api_reply_error(c, 400, "invalid_request", "%s must be YYYY-MM-DD", name);
    return false;
  }
  *number = when / STATS_DAY;
  return true;
}

static void put_date(wrenn_buf *out, const char *name, int64_t number) {
  char text[CLOCK_TEXT_SIZE];
  clock_text(text, (time_t)(number * STATS_DAY));
  json_format(out, name, "%.10s", text);
}

void handle_usage_get(conn *c) {
  stats *s = server_of(c)->stats[request_of(c)->team];
  int64_t to = stats_count(s).when / STATS_DAY, from = -1;
  if (!read_date(c, "from", &from) || !read_date(c, "to", &to))
    return;
  if (from < 0)
    from = to - 30;
  if (from > to || to - from > STATS_DAYS) {
    api_reply_error(c, 400, "invalid_request",
                    from > to ? "from must be before or equal to to"
                              : "range cannot exceed 92 days");
    return;
  }
  wrenn_buf json = {0};
  json_object(&json, NULL);
  put_date(&json, "from", from);
  put_date(&json, "to", to);
  json_array(&json, "points");
  size_t count;
  const stats_day *days = stats_days(s, &count);
  for (size_t i = 0; i < count; i++) {
    const stats_day *d = &days[i];
    if (d->number < from || d->number > to)
      continue;
    json_object(&json, NULL);
    put_date(&json, "date", d->number);
    json_real(&json, "cpu_minutes", d->cpu_minutes, 4);
    json_real(&json, "ram_mb_minutes", d->ram_mb_minutes, 4);
    json_object_end(&json);
  }
  json_array_end(&json);
  json_object_end(&json);
  conn_reply_json(c, 200, &json);
}
