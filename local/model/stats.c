#include "model/stats.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE_MS 10000
#define SAMPLES 8640 /* a day of them */

struct stats {
  const capsules *of;
  int team;
  uv_timer_t timer;
  uint64_t
      counted; /* usage has been added up to this time (of the loop's clock) */
  stats_sample samples[SAMPLES];
  size_t first, count;
  stats_sample peaks; /* the maximum of each number */
  stats_day days[STATS_DAYS];
  size_t day_count;
};

static stats_sample take_sample(const stats *s) {
  stats_sample now = {.when = time(NULL)};
  LIST_EACH (const capsule, c, &s->of->list, link) {
    if (c->status != CAPSULE_RUNNING || c->team != s->team)
      continue;
    now.running++;
    now.vcpus += c->vcpus;
    now.memory_mb += c->memory_mb;
  }
  return now;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static stats_day *today(stats *s, time_t when) {
  int64_t number = when / STATS_DAY;
  stats_day *last = s->day_count ? &s->days[s->day_count - 1] : NULL;
  if (last && last->number == number)
    return last;
  if (s->day_count == STATS_DAYS) {
    memmove(s->days, s->days + 1, (STATS_DAYS - 1) * sizeof(s->days[0]));
    s->day_count--;
  }
  s->days[s->day_count] = (stats_day){.number = number};
  return &s->days[s->day_count++];
}

stats_sample stats_count(stats *s) {
  stats_sample now = take_sample(s);
  uint64_t loop_now = uv_now(s->of->site.loop);
  double minutes = (double)(loop_now - s->counted) / 60000;
  stats_day *d = today(s, now.when);
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
  s->samples[(s->first + s->count) % SAMPLES] = stats_count(s);
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

stats_sample stats_peaks(const stats *s) { return s->peaks; }

const stats_sample *stats_at(const stats *s, size_t index) {
  return index < s->count ? &s->samples[(s->first + index) % SAMPLES] : NULL;
}

const stats_day *stats_days(const stats *s, size_t *count) {
  *count = s->day_count;
  return s->days;
}
