/* Reports what happens as events. */
#ifndef WRENN_LOCAL_MODEL_EVENTS_H
#define WRENN_LOCAL_MODEL_EVENTS_H

#include "model/capsule.h"

typedef struct events {
  /* Called for each event, with a JSON object. NULL while there is no listener.
   */
  void (*tell)(struct events *e, int team, const char *kind,
               const wrenn_buf *json);
} events;

/* An action of a user or of the system. */
typedef struct event {
  const char *kind; /* "capsule.create", ... */
  int team;
  const capsule *capsule; /* what it is about; or NULL */
  const char
      *snapshot;       /* or the name of a snapshot that it is about; or NULL */
  bool system;         /* else an action of the key's owner */
  const char *reason;  /* or NULL */
  const char *host_ip; /* or NULL */
  const char *error;   /* why it has failed, or NULL */
} event;

/* Reports an action. Its contents are used during the call only. */
void events_act(events *e, const event *what);

/* A capsule's status has changed: reports the operations that this completes,
 * as the system's, and the change, where the generation reports it. */
void events_changed(events *e, const capsule *c, capsule_status before);

#endif
