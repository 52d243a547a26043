/* What the team's capsules add up to, over time. */
#ifndef WRENN_LOCAL_MODEL_STATS_H
#define WRENN_LOCAL_MODEL_STATS_H

#include "model/capsule.h"

typedef struct stats stats;

/* Begins to look at the capsules from time to time. NULL when memory is out. */
stats *stats_start(uv_loop_t *loop, const capsules *of, int team);

/* Ends it; the loop frees it. */
void stats_end(stats *s);

#endif
