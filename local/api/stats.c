/* Handlers: the team's numbers. */
#include "model/stats.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "util/clock.h"

/* ---- GET /v1/capsules/stats ---------------------------------------------- */

static void put_series(const stats *s, wrenn_buf *out, time_t since,
                       const char *name, size_t field) {
  bool first = true;
  wrenn_buf_printf(out, "\"%s\":[", name);
  const stats_sample *one;
  for (size_t i = 0; (one = stats_at(s, i)); i++) {
    char text[32];
    int64_t number;
    if (one->when < since)
      continue;
    wrenn_buf_puts(out, first ? "" : ",");
    first = false;
    if (field == offsetof(stats_sample, when)) {
      clock_text(text, one->when);
      wrenn_buf_printf(out, "\"%s\"", text);
    } else {
      memcpy(&number, (const char *)one + field, sizeof(number));
      wrenn_buf_printf(out, "%lld", (long long)number);
    }
  }
  wrenn_buf_puts(out, "]");
}

void handle_stats(conn *c) {
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
  wrenn_buf_printf(&json,
                   "{\"range\":\"%s\",\"current\":{\"running_count\":%lld,"
                   "\"vcpus_reserved\":%lld,\"memory_mb_reserved\":%lld},",
                   ranges[i].name, (long long)now.running, (long long)now.vcpus,
                   (long long)now.memory_mb);
  wrenn_buf_printf(&json,
                   "\"peaks\":{\"running_count\":%lld,\"vcpus\":%lld,"
                   "\"memory_mb\":%lld},\"series\":{",
                   (long long)peaks.running, (long long)peaks.vcpus,
                   (long long)peaks.memory_mb);
  put_series(s, &json, since, "labels", offsetof(stats_sample, when));
  wrenn_buf_puts(&json, ",");
  put_series(s, &json, since, "running", offsetof(stats_sample, running));
  wrenn_buf_puts(&json, ",");
  put_series(s, &json, since, "vcpus", offsetof(stats_sample, vcpus));
  wrenn_buf_puts(&json, ",");
  put_series(s, &json, since, "memory_mb", offsetof(stats_sample, memory_mb));
  wrenn_buf_puts(&json, "}}\n");
  conn_reply_json(c, 200, &json);
}

/* ---- GET /v1/capsules/usage ---------------------------------------------- */

/* A date as a number of days; a missing one stays as it is. False when it has
 * been refused. */
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
  char text[32];
  clock_text(text, (time_t)(number * STATS_DAY));
  wrenn_buf_printf(out, "\"%s\":\"%.10s\"", name, text);
}

void handle_usage(conn *c) {
  stats *s = server_of(c)->stats[request_of(c)->team];
  int64_t to = stats_count(s).when / STATS_DAY, from = -1;
  bool first = true;
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
  wrenn_buf_puts(&json, "{");
  put_date(&json, "from", from);
  wrenn_buf_puts(&json, ",");
  put_date(&json, "to", to);
  wrenn_buf_puts(&json, ",\"points\":[");
  size_t count;
  const stats_day *days = stats_days(s, &count);
  for (size_t i = 0; i < count; i++) {
    const stats_day *d = &days[i];
    if (d->number < from || d->number > to)
      continue;
    wrenn_buf_puts(&json, first ? "{" : ",{");
    first = false;
    put_date(&json, "date", d->number);
    wrenn_buf_printf(&json, ",\"cpu_minutes\":%.4f,\"ram_mb_minutes\":%.4f}",
                     d->cpu_minutes, d->ram_mb_minutes);
  }
  wrenn_buf_puts(&json, "]}\n");
  conn_reply_json(c, 200, &json);
}
