/*
 * Handler: WebSockets of clients without a valid key in the earliest servers.
 * The upgrade succeeds, and a first message may contain a token; there are no
 * tokens here. So it fails after the message, or after a time without one.
 */
#include <stdlib.h>

#include "api/api.h"
#include "http/ws.h"
#include "util/json_out.h"

#define WAIT_MS 5000
#define TOKEN_MAX ((size_t)16 * 1024)

typedef struct stranger {
  ws *ws;
  uv_timer_t timer;
  bool fatal;
} stranger;

static void refuse(stranger *s) {
  wrenn_buf frame = {0};
  json_object(&frame, NULL);
  json_text(&frame, "type", "error");
  json_text(&frame, "data", "authentication failed");
  if (s->fatal)
    json_bool(&frame, "fatal", true);
  json_object_end(&frame);
  wrenn_buf_puts(&frame, "\n");
  uv_timer_stop(&s->timer);
  if (!frame.oom)
    ws_send(s->ws, frame.data, frame.len);
  wrenn_buf_free(&frame);
  ws_drop(s->ws);
}

static void on_message(void *arg, const char *data, size_t len, bool binary) {
  (void)data;
  (void)len;
  (void)binary;
  refuse(arg);
}

static void on_waited(uv_timer_t *timer) { refuse(timer->data); }

static void on_closed(uv_handle_t *handle) { free(handle->data); }

static void on_lost(void *arg) {
  stranger *s = arg;
  uv_close((uv_handle_t *)&s->timer, on_closed);
}

void api_refuse_stranger(conn *c, bool fatal) {
  stranger *s = calloc(1, sizeof(*s));
  if (!s) {
    conn_abort(c);
    return;
  }
  const ws_hooks hooks = {.message = on_message,
                          .lost = on_lost,
                          .arg = s,
                          .message_max = TOKEN_MAX};
  s->fatal = fatal;
  s->ws = ws_accept(c, &hooks);
  if (!s->ws) {
    free(s);
    return;
  }
  uv_timer_init(c->server->loop, &s->timer);
  s->timer.data = s;
  uv_timer_start(&s->timer, on_waited, WAIT_MS, 0);
}
