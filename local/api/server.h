/* The data of handlers: the server, and the request. */
#ifndef WRENN_LOCAL_API_SERVER_H
#define WRENN_LOCAL_API_SERVER_H

#include "api/events.h"
#include "http/conn.h"
#include "model/team.h"
#include "model/templates.h"
#include "model/volumes.h"

typedef struct server {
  http_server http;
  const char *keys[TEAMS_MAX]; /* of the teams */
  int teams;
  generation generation;
  const traits *traits; /* of the generation */
  uint64_t pty_ping_ms;
  struct stats *stats[TEAMS_MAX];
  event_streams streams;
  capsules capsules;
  templates templates;
  volumes volumes;
} server;

/* A request, known when its head is complete. */
typedef struct request {
  int team;         /* the owner of its key; -1: there is no valid key */
  capsule *capsule; /* the one that the path names; or NULL */
  char *selector;   /* the decoded last segment of the path; or NULL */
  bool crowded;     /* refused: too few descriptors are left */
} request;

static inline server *server_of(const conn *c) {
  return (server *)c->server; /* it is the first member */
}

static inline request *request_of(const conn *c) { return c->context; }

#endif
