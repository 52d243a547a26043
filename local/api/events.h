/* The event stream: the connections that listen to what happens. */
#ifndef WRENN_LOCAL_API_EVENTS_H
#define WRENN_LOCAL_API_EVENTS_H

#include <uv.h>

#include "model/events.h"
#include "util/list.h"

typedef struct event_streams {
  events events; /* the model tells these */
  uv_timer_t timer;
  list list;
} event_streams;

/* Begins to keep the streams alive; ends that. */
void event_streams_start(event_streams *all, uv_loop_t *loop);
void event_streams_end(event_streams *all);

#endif
