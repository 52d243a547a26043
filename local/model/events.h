/* The event stream: what happens, told to those who listen. */
#ifndef WRENN_LOCAL_MODEL_EVENTS_H
#define WRENN_LOCAL_MODEL_EVENTS_H

#include "model/capsule.h"

typedef struct events events;

/* What somebody did, or what the system did by itself. */
typedef struct event {
  const char *kind; /* "capsule.create", ... */
  int team;
  const capsule *capsule; /* what it is about; or NULL */
  const char *snapshot;   /* the other thing it may be about: a name */
  bool system;            /* else the one who has the key */
  const char *reason;     /* or NULL */
  const char *host_ip;    /* or NULL */
  const char *error;      /* why it has failed, or NULL */
} event;

/* NULL when memory is out. */
events *events_start(uv_loop_t *loop);

/* Ends what it does by itself; frees it, once the loop is over. */
void events_end(events *e);
void events_free(events *e);

/* Tells of an action. All of it lives as long as the call. Nothing is told
 * when there is no `e`. */
void events_act(events *e, const event *what);

/* A capsule's status is no more what it was: tells of what is finished by
 * that, in the system's name, and of the change where that is told. */
void events_changed(events *e, const capsule *c, capsule_status before);

#endif
