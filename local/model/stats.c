/* Handlers: the team's numbers, kept for as long as the server runs. */
#include "model/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "util/clock.h"

#define SAMPLE_MS 10000
#define SAMPLES 8640 /* a day of them */
#define DAYS 92      /* as many as one may ask for */
#define DAY 86400

typedef struct sample {
  time_t when;
  int64_t running, vcpus, memory_mb;
} sample;

typedef struct day {
  int64_t number; /* since 1970 */
  double cpu_minutes, ram_mb_minutes;
} day;

struct stats {
  const capsules *of;
  int team;
  uv_timer_t timer;
  uint64_t counted; /* usage has been added up to this time of the loop */
  sample samples[SAMPLES];
  size_t first, count;
  sample peaks; /* the highest of each */
  day days[DAYS];
  size_t day_count;
};

static sample take_sample(const stats *s) {
  sample now = {.when = time(NULL)};
  for (const capsule *c = s->of->first; c; c = c->next) {
    if (c->status != CAPSULE_RUNNING || c->team != s->team)
      continue;
    now.running++;
    now.vcpus += c->vcpus;
    now.memory_mb += c->memory_mb;
  }
  return now;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static day *today(stats *s, time_t when) {
  int64_t number = when / DAY;
  day *last = s->day_count ? &s->days[s->day_count - 1] : NULL;
  if (last && last->number == number)
    return last;
  if (s->day_count == DAYS) {
    memmove(s->days, s->days + 1, (DAYS - 1) * sizeof(s->days[0]));
    s->day_count--;
  }
  s->days[s->day_count] = (day){.number = number};
  return &s->days[s->day_count++];
}

/* Brings everything up to this moment. */
static sample count(stats *s) {
  sample now = take_sample(s);
  uint64_t loop_now = uv_now(s->of->site.loop);
  double minutes = (double)(loop_now - s->counted) / 60000;
  day *d = today(s, now.when);
  s->counted = loop_now;
  d->cpu_minutes += minutes * (double)now.vcpus;
  d->ram_mb_minutes += minutes * (double)now.memory_mb;
  s->peaks.running = larger(s->peaks.running, now.running);
  s->peaks.vcpus = larger(s->peaks.vcpus, now.vcpus);
  s->peaks.memory_mb = larger(s->peaks.memory_mb, now.memory_mb);
  return now;
}

static void on_timer(uv_timer_t *timer) {
  stats *s = timer->data;
  s->samples[(s->first + s->count) % SAMPLES] = count(s);
  if (s->count < SAMPLES)
    s->count++;
  else
    s->first = (s->first + 1) % SAMPLES;
}

stats *stats_start(uv_loop_t *loop, const capsules *of, int team) {
  stats *s = calloc(1, sizeof(*s));
  if (!s)
    return NULL;
  s->of = of;
  s->team = team;
  s->counted = uv_now(loop);
  uv_timer_init(loop, &s->timer);
  s->timer.data = s;
  uv_timer_start(&s->timer, on_timer, 0, SAMPLE_MS);
  return s;
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

void stats_end(stats *s) {
  if (s)
    uv_close((uv_handle_t *)&s->timer, on_closed);
}

/* ---- GET /v1/capsules/stats ---------------------------------------------- */

static void put_series(const stats *s, wrenn_buf *out, time_t since,
                       const char *name, size_t field) {
  bool first = true;
  wrenn_buf_printf(out, "\"%s\":[", name);
  for (size_t i = 0; i < s->count; i++) {
    const sample *one = &s->samples[(s->first + i) % SAMPLES];
    char text[32];
    int64_t number;
    if (one->when < since)
      continue;
    wrenn_buf_puts(out, first ? "" : ",");
    first = false;
    if (field == offsetof(sample, when)) {
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
                {"24h", DAY},
                {"30d", 30 * DAY}};
  char range[8] = "1h";
  size_t i = 0, known = sizeof(ranges) / sizeof(ranges[0]);
  stats *s = c->server->stats[c->team];
  api_query(c, "range", range, sizeof(range));
  while (i < known && strcmp(ranges[i].name, *range ? range : "1h") != 0)
    i++;
  if (i == known) {
    conn_reply_error(c, 400, "invalid_request",
                     "range must be one of: 5m, 1h, 6h, 24h, 30d");
    return;
  }
  wrenn_buf json = {0};
  sample now = count(s);
  time_t since = now.when - ranges[i].seconds;
  wrenn_buf_printf(&json,
                   "{\"range\":\"%s\",\"current\":{\"running_count\":%lld,"
                   "\"vcpus_reserved\":%lld,\"memory_mb_reserved\":%lld},",
                   ranges[i].name, (long long)now.running, (long long)now.vcpus,
                   (long long)now.memory_mb);
  wrenn_buf_printf(&json,
                   "\"peaks\":{\"running_count\":%lld,\"vcpus\":%lld,"
                   "\"memory_mb\":%lld},\"series\":{",
                   (long long)s->peaks.running, (long long)s->peaks.vcpus,
                   (long long)s->peaks.memory_mb);
  put_series(s, &json, since, "labels", offsetof(sample, when));
  wrenn_buf_puts(&json, ",");
  put_series(s, &json, since, "running", offsetof(sample, running));
  wrenn_buf_puts(&json, ",");
  put_series(s, &json, since, "vcpus", offsetof(sample, vcpus));
  wrenn_buf_puts(&json, ",");
  put_series(s, &json, since, "memory_mb", offsetof(sample, memory_mb));
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
    conn_reply_error(c, 400, "invalid_request", "%s must be YYYY-MM-DD", name);
    return false;
  }
  *number = when / DAY;
  return true;
}

static void put_date(wrenn_buf *out, const char *name, int64_t number) {
  char text[32];
  clock_text(text, (time_t)(number * DAY));
  wrenn_buf_printf(out, "\"%s\":\"%.10s\"", name, text);
}

void handle_usage(conn *c) {
  stats *s = c->server->stats[c->team];
  int64_t to = count(s).when / DAY, from = -1;
  bool first = true;
  if (!read_date(c, "from", &from) || !read_date(c, "to", &to))
    return;
  if (from < 0)
    from = to - 30;
  if (from > to || to - from > DAYS) {
    conn_reply_error(c, 400, "invalid_request",
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
  for (size_t i = 0; i < s->day_count; i++) {
    const day *d = &s->days[i];
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
