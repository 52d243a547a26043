#include "ws_engine.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tls.h"

#define RX_SIZE (64 * 1024) /* of one read, shared by all connections */
#define HEADER_SIZE 8192
#define NEVER (24 * 60 * 60)
#define NO_TLS "-" /* in place of a CA file: this host serves plain ws:// */

typedef struct wrenn_ws_vhost {
  struct wrenn_ws_vhost *next;
  struct lws_vhost *vhost;
  SSL_CTX *tls;
  char *ca_file; /* or NULL */
  char *proxy;   /* or NULL */
  struct lws_protocols protocols[2];
} wrenn_ws_vhost;

static bool same(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

/* libwebsockets keeps two OpenSSL indices per process and takes new ones each
 * time it is told to initialise TLS, which would cut off the connections of
 * every other loop: once per process, then. */
static uint64_t tls_init_once(void) {
  static atomic_flag done = ATOMIC_FLAG_INIT;
  return atomic_flag_test_and_set(&done) ? 0
                                         : LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
}

/* libwebsockets unloads its libuv plug-in with the last context, while that
 * plug-in's own close callbacks are still to run: keep it mapped. */
static void pin_event_plugin(void) {
  dlopen("libwebsockets-evlib_uv.so", RTLD_NOW | RTLD_NODELETE);
}

wrenn_ws_engine *wrenn_ws_engine_of(wrenn_loop *loop) {
  if (loop->ws)
    return loop->ws;
  wrenn_ws_engine *engine = calloc(1, sizeof(*engine));
  if (!engine)
    return NULL;
  struct sigaction sigpipe;
  void *foreign[] = {&loop->uv};
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN,
      .gid = -1,
      .uid = -1,
      .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                 tls_init_once(),
      .foreign_loops = foreign,
      .pt_serv_buf_size = RX_SIZE,
      .max_http_header_data2 = HEADER_SIZE,
      .timeout_secs = NEVER, /* deadlines are the op's */
  };
  lws_set_log_level(0, NULL);
  pin_event_plugin();
  sigaction(SIGPIPE, NULL, &sigpipe);
  engine->context = lws_create_context(&info);
  sigaction(SIGPIPE, &sigpipe, NULL); /* lws has set it to be ignored */
  if (!engine->context) {
    free(engine);
    return NULL;
  }
  engine->loop = loop;
  loop->ws = engine;
  return engine;
}

static void free_vhost(wrenn_ws_vhost *entry) {
  if (!entry)
    return;
  SSL_CTX_free(entry->tls);
  free(entry->ca_file);
  free(entry->proxy);
  free(entry);
}

static wrenn_ws_vhost *find_vhost(const wrenn_ws_engine *engine,
                                  const char *ca_file, const char *proxy) {
  wrenn_ws_vhost *entry = engine->vhosts;
  while (entry && !(same(entry->ca_file, ca_file) && same(entry->proxy, proxy)))
    entry = entry->next;
  return entry;
}

struct lws_vhost *wrenn_ws_vhost_of(wrenn_ws_engine *engine, bool secure,
                                    const char *ca_file, const char *proxy,
                                    lws_callback_function *callback,
                                    wrenn_status *why) {
  if (!secure)
    ca_file = NO_TLS;
  wrenn_ws_vhost *entry = find_vhost(engine, ca_file, proxy);
  if (entry)
    return entry->vhost;
  *why = WRENN_E_MEMORY;
  entry = calloc(1, sizeof(*entry));
  if (!entry)
    goto failed;
  entry->ca_file = ca_file ? strdup(ca_file) : NULL;
  entry->proxy = proxy ? strdup(proxy) : NULL;
  if ((ca_file && !entry->ca_file) || (proxy && !entry->proxy))
    goto failed;
  if (secure) {
    entry->tls = wrenn_tls_context(ca_file);
    if (!entry->tls) {
      *why = WRENN_E_TLS;
      goto failed;
    }
  }
  entry->protocols[0] =
      (struct lws_protocols){.name = "wrenn", .callback = callback};
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN,
      .options = secure ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
      .protocols = entry->protocols,
      .provided_client_ssl_ctx = entry->tls,
      .http_proxy_address = proxy ? proxy : "", /* not the environment's */
      .connect_timeout_secs = NEVER,
      .timeout_secs = NEVER,
  };
  entry->vhost = lws_create_vhost(engine->context, &info);
  if (!entry->vhost)
    goto failed;
  entry->next = engine->vhosts;
  engine->vhosts = entry;
  return entry->vhost;

failed:
  free_vhost(entry);
  return NULL;
}

static void note_closing(uv_handle_t *handle, void *arg) {
  bool *closing = arg;
  *closing = *closing || uv_is_closing(handle);
}

/* Lets every handle that is being closed be closed: what one of them calls
 * may close others, which takes a turn more each time. */
static void drain(uv_loop_t *uv) {
  bool closing;
  do {
    uv_run(uv, UV_RUN_NOWAIT);
    closing = false;
    uv_walk(uv, note_closing, &closing);
  } while (closing);
}

/* With a foreign loop one destroy only begins the work: the handles close in
 * the loop, and a second call frees what is left. */
void wrenn_ws_engine_free(wrenn_ws_engine *engine) {
  if (!engine)
    return;
  uv_loop_t *uv = &engine->loop->uv;
  drain(uv);
  lws_context_destroy(engine->context);
  drain(uv);
  lws_context_destroy(engine->context);
  drain(uv);
  while (engine->vhosts) {
    wrenn_ws_vhost *entry = engine->vhosts;
    engine->vhosts = entry->next;
    free_vhost(entry);
  }
  free(engine);
}
