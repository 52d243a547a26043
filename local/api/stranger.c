/*
 * Handler: WebSockets of clients without a valid key in the earliest servers.
 * The upgrade succeeds, and a first message may contain a token; there are no
 * tokens here. So it fails after the message, or after a time without one.
 */
#include <stdlib.h>

#include "api/api.h"
#include "http/ws.h"

#define WAIT_MS 5000

typedef struct stranger {
  ws *ws;
  uv_timer_t timer;
  bool fatal;
} stranger;

static void refuse(stranger *s) {
  static const char plain[] =
      "{\"type\":\"error\",\"data\":\"authentication failed\"}\n";
  static const char fatal[] = "{\"type\":\"error\",\"data\":\"authentication "
                              "failed\",\"fatal\":true}\n";
  uv_timer_stop(&s->timer);
  if (s->fatal)
    ws_send(s->ws, fatal, sizeof(fatal) - 1);
  else
    ws_send(s->ws, plain, sizeof(plain) - 1);
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

void handle_stranger(conn *c, bool fatal) {
  stranger *s = calloc(1, sizeof(*s));
  if (!s) {
    conn_abort(c);
    return;
  }
  const ws_hooks hooks = {on_message, NULL, on_lost, s, false};
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
