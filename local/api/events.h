/* The connections that receive the event stream. */
#ifndef WRENN_LOCAL_API_EVENTS_H
#define WRENN_LOCAL_API_EVENTS_H

#include <uv.h>

#include "model/events.h"
#include "util/list.h"

typedef struct event_streams {
  events events; /* called by the model */
  uv_timer_t timer;
  list list;
} event_streams;

/* Starts and stops the timer that keeps the streams alive. */
void event_streams_start(event_streams *all, uv_loop_t *loop);
void event_streams_end(event_streams *all);

#endif
