/* The libwebsockets context of a loop and its virtual hosts, one for each
 * trust-and-proxy setting. Internal to the WebSocket transport. */
#ifndef WRENN_WS_ENGINE_H
#define WRENN_WS_ENGINE_H

#include <libwebsockets.h>

#include "loop.h"

typedef struct wrenn_ws_engine {
  wrenn_loop *loop;
  struct lws_context *context;
  struct wrenn_ws_vhost *vhosts;
} wrenn_ws_engine;

/* The loop's engine, made on first use; NULL when the system has not enough
 * to give. It lives as long as the loop. */
wrenn_ws_engine *wrenn_ws_engine_of(wrenn_loop *loop);

/* The virtual host for a setting, made on first use; `callback` serves its
 * connections. `proxy` is "[user:password@]address:port" or NULL. NULL with
 * *why set on failure. */
struct lws_vhost *wrenn_ws_vhost_of(wrenn_ws_engine *engine, bool secure,
                                    const char *ca_file, const char *proxy,
                                    lws_callback_function *callback,
                                    wrenn_status *why);

#endif
