/* The parts of a WebSocket URL or a proxy URL. Internal. */
#ifndef WRENN_URL_H
#define WRENN_URL_H

#include <stdbool.h>

typedef struct wrenn_url {
  bool secure; /* wss or https */
  int port;
  char *host;      /* without the brackets of an IPv6 address */
  char *authority; /* for the Host header: the port only when it is not the
                      scheme's own */
  char *path;      /* with its query; at least "/" */
  char *userinfo;  /* "user:password" as written; or NULL */
} wrenn_url;

/* Takes an absolute URL apart. Returns false when it is malformed or out of
 * memory; then *url is empty. Free with wrenn_url_free. */
bool wrenn_url_parse(wrenn_url *url, const char *text);

void wrenn_url_free(wrenn_url *url);

#endif
