/* Handler: the event stream. */
#include "api/events.h"

#include <stdlib.h>

#include "api/api.h"
#include "util/clock.h"
#include "util/json_out.h"

#define KEEPALIVE_MS 30000
/* If this many events wait for a client, it misses the next one. */
#define WAITING_MAX 32

typedef struct event_stream {
  list_link link;
  conn *conn;
} event_stream;

/* Sends to one team, or to all if `team` is -1. */
static void send_to(event_streams *all, int team, const wrenn_buf *text) {
  if (text->oom)
    return;
  LIST_EACH (event_stream, s, &all->list, link)
    if ((team < 0 || request_of(s->conn)->team == team) &&
        s->conn->out.writes < WAITING_MAX)
      conn_stream_data(s->conn, text->data, text->len);
}

static void on_timer(uv_timer_t *timer) {
  wrenn_buf text = {0};
  wrenn_buf_puts(&text, ": keepalive\n\n");
  send_to(timer->data, -1, &text);
  wrenn_buf_free(&text);
}

void event_streams_start(event_streams *all, uv_loop_t *loop) {
  uint64_t every = clock_ms("WRENN_LOCAL_KEEPALIVE_MS", KEEPALIVE_MS);
  uv_timer_init(loop, &all->timer);
  all->timer.data = all;
  uv_timer_start(&all->timer, on_timer, every, every);
}

void event_streams_end(event_streams *all) {
  uv_close((uv_handle_t *)&all->timer, NULL);
}

static void put_event(wrenn_buf *out, const char *kind, const wrenn_buf *json) {
  wrenn_buf_printf(out, "event: %s\ndata: ", kind);
  wrenn_buf_append(out, json->data, json->len);
  wrenn_buf_puts(out, "\n\n");
}

static void tell(events *e, int team, const char *kind, const wrenn_buf *json) {
  wrenn_buf text = {0};
  put_event(&text, kind, json);
  send_to((event_streams *)e, team, &text); /* it is the first member */
  wrenn_buf_free(&text);
}

static void drop(conn *c) {
  event_streams *all = &server_of(c)->streams;
  event_stream *s = c->task.state;
  list_remove(&s->link);
  if (list_is_empty(&all->list))
    all->events.tell = NULL;
  free(s);
}

static void send_hello(conn *c) {
  wrenn_buf json = {0}, text = {0};
  json_object(&json, NULL);
  json_text(&json, "message", "connected");
  json_object_end(&json);
  put_event(&text, "connected", &json);
  conn_stream_data(c, text.data, text.len);
  wrenn_buf_free(&json);
  wrenn_buf_free(&text);
}

void handle_event_stream(conn *c) {
  event_streams *all = &server_of(c)->streams;
  event_stream *s = calloc(1, sizeof(*s));
  if (!s) {
    api_reply_fault(c, FAULT_MEMORY, NULL);
    return;
  }
  s->conn = c;
  list_prepend(&all->list, &s->link);
  all->events.tell = tell;
  c->task = (conn_task){.drop = drop, .state = s};
  conn_watch(c);
  conn_stream_begin(c, 200, "text/event-stream", -1);
  send_hello(c);
}
