/*
 * A command's output stream with bare libwebsockets: only counts bytes.
 *   bare_ws HOST PORT PATH KEY START-FRAME    prints bytes, seconds, and CPU
 * seconds
 */
#include <libwebsockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

struct state {
  const char *key;
  const char *start;
  size_t bytes;
  double begin, end, cpu;
  bool done, failed;
};

static int add_key(struct state *s, unsigned char **at, size_t room) {
  int len = snprintf((char *)*at, room, "X-API-Key: %s\r\n", s->key);
  if (len < 0 || (size_t)len >= room)
    return -1;
  *at += len;
  return 0;
}

static int send_start(struct state *s, struct lws *wsi) {
  unsigned char frame[LWS_PRE + 1024];
  size_t len = strlen(s->start);
  if (len > 1024)
    return -1;
  memcpy(frame + LWS_PRE, s->start, len);
  return lws_write(wsi, frame + LWS_PRE, len, LWS_WRITE_TEXT) < 0 ? -1 : 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason,
                    void *user, void *in, size_t len) {
  struct state *s = lws_get_opaque_user_data(wsi);
  (void)user;
  switch (reason) {
  case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
    return add_key(s, in, len);
  case LWS_CALLBACK_CLIENT_ESTABLISHED:
    return send_start(s, wsi);
  case LWS_CALLBACK_CLIENT_RECEIVE:
    if (!s->bytes) {
      s->begin = seconds();
      s->cpu = cpu_seconds();
    }
    s->bytes += len;
    return 0;
  case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    s->failed = true;
    s->done = true;
    return 0;
  case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    s->end = seconds();
    return 0;
  case LWS_CALLBACK_CLIENT_CLOSED:
    if (s->end == 0)
      s->end = seconds();
    s->done = true;
    return 0;
  default:
    return 0;
  }
}

int main(int argc, char **argv) {
  if (argc != 6)
    return 2;
  static const struct lws_protocols protocols[] = {
      {.name = "bench", .callback = callback}, {0}};
  struct state s = {.key = argv[4], .start = argv[5]};
  struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN,
                                           .protocols = protocols,
                                           .gid = -1,
                                           .uid = -1,
                                           .pt_serv_buf_size = 64 * 1024};
  lws_set_log_level(0, NULL);
  struct lws_context *context = lws_create_context(&info);
  if (!context)
    return 1;
  struct lws_client_connect_info to = {.context = context,
                                       .address = argv[1],
                                       .host = argv[1],
                                       .port = (int)strtol(argv[2], NULL, 10),
                                       .path = argv[3],
                                       .local_protocol_name = "bench",
                                       .opaque_user_data = &s};
  if (!lws_client_connect_via_info(&to))
    s.failed = s.done = true;
  while (!s.done && lws_service(context, 0) >= 0)
    ;
  lws_context_destroy(context);
  if (s.failed)
    return 1;
  printf("%zu %.6f %.6f\n", s.bytes, s.end - s.begin, cpu_seconds() - s.cpu);
  return 0;
}
