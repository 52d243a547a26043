/* What happens, told to whoever listens. */
#ifndef WRENN_LOCAL_MODEL_EVENTS_H
#define WRENN_LOCAL_MODEL_EVENTS_H

#include "model/capsule.h"

typedef struct events {
  /* Called for each event, with the text of a JSON object. NULL while nobody
   * listens: then nothing is written, either. */
  void (*tell)(struct events *e, int team, const char *kind,
               const wrenn_buf *json);
} events;

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

/* Tells of an action. All of it lives as long as the call. */
void events_act(events *e, const event *what);

/* A capsule's status is no more what it was: tells of what is finished by
 * that, in the system's name, and of the change where that is told. */
void events_changed(events *e, const capsule *c, capsule_status before);

#endif
