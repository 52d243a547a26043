/* The totals of a team's capsules over time, since the start of the server. */
#ifndef WRENN_LOCAL_MODEL_STATS_H
#define WRENN_LOCAL_MODEL_STATS_H

#include "model/capsule.h"

#define STATS_DAYS 92 /* as many are kept */
#define STATS_DAY 86400

typedef struct stats stats;

typedef struct stats_sample {
  time_t when;
  int64_t running, vcpus, memory_mb;
} stats_sample;

typedef struct stats_day {
  int64_t number; /* since 1970 */
  double cpu_minutes, ram_mb_minutes;
} stats_day;

/* Starts to sample the capsules. NULL when memory is out. */
stats *stats_start(uv_loop_t *loop, const capsules *of, int team);

/* Stops sampling; the loop frees it. */
void stats_end(stats *s);

/* Updates everything up to now, and returns the time. */
stats_sample stats_count(stats *s);

/* The maximum of each number. */
stats_sample stats_peaks(const stats *s);

/* The samples, oldest first: NULL if there is none with this index. */
const stats_sample *stats_at(const stats *s, size_t index);

/* The days with any usage, oldest first, and their number. */
const stats_day *stats_days(const stats *s, size_t *count);

#endif
