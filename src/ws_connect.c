/* From a URL to an open WebSocket, or to the reason why not. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ws_op.h"

#define MAX_REFUSAL ((size_t)256 * 1024)

static const wrenn_url *peer(const wrenn_ws_op *ws) {
  return ws->proxy.host ? &ws->proxy : &ws->url;
}

static void on_found(void *arg, struct addrinfo *list, const char *why) {
  wrenn_ws_op *ws = arg;
  ws->lookup = NULL;
  if (!list) {
    wrenn_op_fail(&ws->op, WRENN_E_RESOLVE, "cannot resolve %s: %s",
                  peer(ws)->host, why);
    return;
  }
  ws->found = ws->next = list;
  wrenn_ws_connect_next(ws);
}

void wrenn_ws_connect(wrenn_ws_op *ws) {
  ws->lookup = wrenn_lookup_start(ws->op.loop, peer(ws)->host, peer(ws)->port,
                                  on_found, ws);
  if (!ws->lookup)
    wrenn_op_fail(&ws->op, WRENN_E_SYSTEM, "cannot start a name look-up");
}

/* libwebsockets is given one numeric address at a time: left to itself it
 * would look the name up again, and block. */
static bool next_address(wrenn_ws_op *ws, char *text, size_t size) {
  const struct addrinfo *at = ws->next;
  ws->next = at->ai_next;
  return getnameinfo(at->ai_addr, at->ai_addrlen, text, (socklen_t)size, NULL,
                     0, NI_NUMERICHOST) == 0;
}

static struct lws_vhost *vhost_of(wrenn_ws_op *ws, const char *address,
                                  wrenn_status *why) {
  const wrenn_url *proxy = &ws->proxy;
  wrenn_buf text = {0};
  if (proxy->host) {
    if (proxy->userinfo)
      wrenn_buf_printf(&text, "%s@", proxy->userinfo);
    wrenn_buf_printf(&text, "%s:%d", address, proxy->port);
    wrenn_buf_append(&text, "", 1);
  }
  struct lws_vhost *vhost = NULL;
  if (!text.oom)
    vhost = wrenn_ws_vhost_of(ws->engine, ws->url.secure, ws->ca_file,
                              text.data, wrenn_ws_callback, why);
  wrenn_buf_free(&text);
  return vhost;
}

static int tls_flags(const wrenn_ws_op *ws) {
  int flags = ws->url.secure ? LCCSCF_USE_SSL : 0;
  if (ws->insecure)
    flags |= LCCSCF_ALLOW_SELFSIGNED | LCCSCF_ALLOW_EXPIRED |
             LCCSCF_ALLOW_INSECURE | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK;
  return flags | LCCSCF_HTTP_NO_FOLLOW_REDIRECT;
}

void wrenn_ws_connect_next(wrenn_ws_op *ws) {
  char address[NI_MAXHOST];
  wrenn_status why = WRENN_E_MEMORY;
  while (ws->next) {
    if (!next_address(ws, address, sizeof(address)))
      continue;
    struct lws_vhost *vhost = vhost_of(ws, address, &why);
    if (!vhost) {
      wrenn_op_fail(&ws->op, why, "%s",
                    why == WRENN_E_TLS ? "cannot load the trusted certificates"
                                       : wrenn_strerror(why));
      return;
    }
    struct lws_client_connect_info info = {
        .context = ws->engine->context,
        .vhost = vhost,
        .address = ws->proxy.host ? ws->url.host : address,
        .port = ws->url.port,
        .path = ws->url.path,
        .host = ws->url.authority,
        .local_protocol_name = "wrenn",
        .ssl_connection = tls_flags(ws),
        .opaque_user_data = ws,
        .pwsi = &ws->wsi,
    };
    ws->attempts++;
    ws->inside = true; /* its callbacks may come from inside this call */
    errno = 0;
    struct lws *wsi = lws_client_connect_via_info(&info);
    ws->inside = false;
    if (wsi && !wrenn_fd_to_spare(lws_get_socket_fd(wsi))) {
      wrenn_op_fail_fds(&ws->op);
      return;
    }
    if (wsi) {
      lws_cancel_service(ws->engine->context);
      return;
    }
    ws->wsi = NULL;
    if (errno)
      snprintf(ws->failure, sizeof(ws->failure), " (%s)", strerror(errno));
    if (errno == EMFILE) {
      wrenn_op_fail_fds(&ws->op);
      return;
    }
    why = errno == ENFILE ? WRENN_E_SYSTEM : WRENN_E_CONNECT;
  }
  wrenn_op_fail(&ws->op, why == WRENN_E_SYSTEM ? why : WRENN_E_CONNECT,
                "cannot connect to %s port %d%s", peer(ws)->host,
                peer(ws)->port, ws->failure);
}

/* ---- callbacks ----------------------------------------------------------- */

int wrenn_ws_add_headers(wrenn_ws_op *ws, unsigned char **at, size_t room) {
  ws->tcp_up = ws->upgrading = true;
  for (char **line = ws->headers; *line; line++) {
    size_t len = strlen(*line);
    if (len + 2 > room) {
      wrenn_op_fail(&ws->op, WRENN_E_ARGUMENT, "the headers are too long");
      return -1;
    }
    memcpy(*at, *line, len);
    memcpy(*at + len, "\r\n", 2);
    *at += len + 2;
    room -= len + 2;
  }
  return 0;
}

int wrenn_ws_verify(wrenn_ws_op *ws, void *store, bool verified) {
  if (verified)
    return 0;
  if (ws->insecure) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 0;
  }
  snprintf(ws->failure, sizeof(ws->failure), "%s",
           X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
  return 1;
}

static void put_header(wrenn_buf *out, struct lws *wsi, const char *name,
                       enum lws_token_indexes token) {
  char value[512];
  int len = lws_hdr_copy(wsi, value, sizeof(value), token);
  if (len > 0)
    wrenn_buf_printf(out, "%s: %.*s\r\n", name, len, value);
}

static void put_custom_header(wrenn_buf *out, struct lws *wsi,
                              const char *name) {
  char value[512];
  int name_len = (int)strlen(name);
  int len = lws_hdr_custom_copy(wsi, value, sizeof(value), name, name_len);
  if (len > 0)
    wrenn_buf_printf(out, "%s %.*s\r\n", name, len, value);
}

/* Reads what has arrived of a refusal's body: it comes through the callback. */
static void read_refusal(wrenn_ws_op *ws, struct lws *wsi) {
  size_t before;
  do {
    char *data = NULL;
    int len = 0;
    before = ws->partial.len;
    if (lws_http_client_read(wsi, &data, &len) < 0)
      return;
  } while (ws->partial.len > before && ws->partial.len < MAX_REFUSAL);
}

/* The server has answered the upgrade, with whatever. */
int wrenn_ws_answered(wrenn_ws_op *ws, struct lws *wsi) {
  wrenn_buf head = {0};
  int status = (int)lws_http_client_http_response(wsi);
  if (status == 101)
    return 0;
  ws->refused = status;
  put_header(&head, wsi, "content-type", WSI_TOKEN_HTTP_CONTENT_TYPE);
  put_header(&head, wsi, "retry-after", WSI_TOKEN_HTTP_RETRY_AFTER);
  put_header(&head, wsi, "location", WSI_TOKEN_HTTP_LOCATION);
  put_custom_header(&head, wsi, "x-request-id:");
  read_refusal(ws, wsi);
  wrenn_node *node =
      wrenn_op_node(&ws->op, WRENN_EV_FAILED, head.len + ws->partial.len);
  if (node) {
    if (head.len)
      memcpy(node->bytes, head.data, head.len);
    if (ws->partial.len)
      memcpy(node->bytes + head.len, ws->partial.data, ws->partial.len);
    node->event.error = WRENN_E_REFUSED;
    node->event.status = status;
    node->event.headers_len = head.len;
    node->event.data = node->bytes + head.len;
    node->event.data_len = ws->partial.len;
    wrenn_op_finish(&ws->op, node);
  }
  wrenn_buf_free(&head);
  return -1;
}

static bool starts_with(const char *text, size_t len, const char *word) {
  size_t word_len = strlen(word);
  return len >= word_len && memcmp(text, word, word_len) == 0;
}

void wrenn_ws_connect_failed(wrenn_ws_op *ws, const char *text, size_t len) {
  if (ws->op.ended)
    return;
  if (!ws->tcp_up) {
    wrenn_op_kick(&ws->op); /* on to the next address */
    return;
  }
  wrenn_status error = WRENN_E_CONNECT;
  if (ws->url.secure && !ws->upgrading)
    error = WRENN_E_TLS;
  else if (starts_with(text, len, "HS: ") ||
           starts_with(text, len, "problems parsing"))
    error = WRENN_E_PROTOCOL;
  if (ws->failure[0])
    wrenn_op_fail(&ws->op, error, "%s: %s", ws->url.host, ws->failure);
  else
    wrenn_op_fail(&ws->op, error, "%s: %.*s", ws->url.host, (int)len, text);
}
