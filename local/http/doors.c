/*
 * Who may stay: connections of which nothing is known yet are closed when they
 * take up what others need. A client that has something to say says it at
 * once.
 */
#include "http/conn.h"

/* What all unfinished heads together may take of memory. */
#define HEADS_MAX ((size_t)16 * 1024 * 1024)
/* A connection is left alone for this part of a head's time. */
#define GRACE_PART 6

/* The connection that has owed its request for longest, if that is longer than
 * a time. */
static conn *slowest(http_server *s, bool with_head, uint64_t at_least) {
  conn *found = NULL;
  uint64_t now = uv_now(s->loop);
  LIST_EACH (conn, c, &s->conns, link)
    if ((c->owes == OWES_HEAD || c->owes == OWES_REQUEST) &&
        (!with_head || c->head_size > 0) && now - c->owes_since >= at_least &&
        (!found || c->owes_since < found->owes_since))
      found = c;
  return found;
}

bool doors_make_room(http_server *s) {
  conn *c = slowest(s, false, s->head_ms / GRACE_PART);
  if (c)
    conn_abort(c);
  return c != NULL;
}

static void set_size(conn *c, size_t size) {
  c->server->heads += size - c->head_size;
  c->head_size = size;
}

void doors_forget_head(conn *c) { set_size(c, 0); }

static void on_out(uv_timer_t *timer) { conn_abort(timer->data); }

void doors_count_head(conn *c) {
  http_server *s = c->server;
  set_size(c, c->stage == CONN_HEAD ? c->input.cap + parser_memory(&c->parser)
                                    : 0);
  while (s->heads > HEADS_MAX) {
    conn *other = slowest(s, true, 0);
    if (!other)
      break;
    doors_forget_head(other);
    uv_timer_start(&other->timer, on_out, 0, 0); /* not in the midst of work */
  }
}
