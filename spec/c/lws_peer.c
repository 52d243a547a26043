/*
 * A WebSocket server on libwebsockets, whose opinion of the protocol is not
 * this project's:
 *   lws_peer        listens on a free port of 127.0.0.1, prints it and its pid,
 *                   and serves until its parent is gone
 * It would like every message compressed. To a message it answers with the
 * same, in fragments of 1000 bytes with a ping after the first; "close CODE
 * REASON" has it close.
 */
#include <libwebsockets.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PART ((size_t)1000)

typedef struct session {
  unsigned char *data; /* the message, behind LWS_PRE bytes */
  size_t len, sent;
  bool binary, whole, pinged;
} session;

static bool take(session *s, const void *in, size_t len) {
  unsigned char *data = realloc(s->data, LWS_PRE + s->len + len + 1);
  if (!data)
    return false;
  s->data = data;
  memcpy(data + LWS_PRE + s->len, in, len);
  s->len += len;
  data[LWS_PRE + s->len] = '\0';
  return true;
}

static int close_as_told(struct lws *wsi, char *text) {
  char *reason = NULL;
  long code = strtol(text + strlen("close "), &reason, 10);
  reason += *reason == ' ';
  lws_close_reason(wsi, (enum lws_close_status)code, (unsigned char *)reason,
                   strlen(reason));
  return -1;
}

static int write_part(struct lws *wsi, session *s) {
  unsigned char ping[LWS_PRE + 4] = {0};
  if (s->sent > 0 && !s->pinged) {
    s->pinged = true;
    memcpy(ping + LWS_PRE, "ping", 4);
    lws_callback_on_writable(wsi);
    return lws_write(wsi, ping + LWS_PRE, 4, LWS_WRITE_PING) < 0 ? -1 : 0;
  }
  size_t part = s->len - s->sent < PART ? s->len - s->sent : PART;
  int kind = s->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
  if (s->sent > 0)
    kind = LWS_WRITE_CONTINUATION;
  if (s->sent + part < s->len)
    kind |= LWS_WRITE_NO_FIN;
  /* Room in front of each part is the end of the one that has gone. */
  if (lws_write(wsi, s->data + LWS_PRE + s->sent, part,
                (enum lws_write_protocol)kind) < 0)
    return -1;
  s->sent += part;
  if (s->sent < s->len) {
    lws_callback_on_writable(wsi);
    return 0;
  }
  free(s->data);
  *s = (session){0};
  return 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason,
                    void *user, void *in, size_t len) {
  session *s = user;
  switch (reason) {
  case LWS_CALLBACK_ESTABLISHED:
    *s = (session){0};
    return 0;
  case LWS_CALLBACK_RECEIVE:
    if (!take(s, in, len))
      return -1;
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
      return 0;
    s->binary = lws_frame_is_binary(wsi);
    s->whole = true;
    if (strncmp((char *)s->data + LWS_PRE, "close ", 6) == 0)
      return close_as_told(wsi, (char *)s->data + LWS_PRE);
    lws_callback_on_writable(wsi);
    return 0;
  case LWS_CALLBACK_SERVER_WRITEABLE:
    return s->whole ? write_part(wsi, s) : 0;
  case LWS_CALLBACK_CLOSED:
    free(s->data);
    s->data = NULL;
    return 0;
  default:
    return 0;
  }
}

int main(void) {
  static const struct lws_protocols protocols[] = {
      {.name = "echo",
       .callback = callback,
       .per_session_data_size = sizeof(session)},
      {0}};
  static const struct lws_extension extensions[] = {
      {"permessage-deflate", lws_extension_callback_pm_deflate,
       "permessage-deflate"},
      {0}};
  struct lws_context_creation_info info = {
      .port = 0,
      .iface = "127.0.0.1",
      .protocols = protocols,
      .extensions = extensions,
      .gid = -1,
      .uid = -1,
  };
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  lws_set_log_level(0, NULL);
  struct lws_context *context = lws_create_context(&info);
  if (!context)
    return 1;
  struct lws_vhost *vhost = lws_get_vhost_by_name(context, "default");
  printf("%d %d\n", lws_get_vhost_listen_port(vhost), (int)getpid());
  fflush(stdout);
  while (lws_service(context, 0) >= 0)
    ;
  lws_context_destroy(context);
  return 0;
}
