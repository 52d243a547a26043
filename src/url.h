/* What an upgrade request says of its URL. Internal. */
#ifndef WRENN_URL_H
#define WRENN_URL_H

#include <stdbool.h>

typedef struct wrenn_url {
  char *authority; /* for the Host header: the port only when it is not the
                      scheme's own */
  char *path;      /* with its query; at least "/" */
} wrenn_url;

/* Takes an absolute http or https URL apart. Returns false when it is
 * malformed, holds a user's name, or memory is out; then *url is empty. Free
 * with wrenn_url_free. */
bool wrenn_url_parse(wrenn_url *url, const char *text);

void wrenn_url_free(wrenn_url *url);

#endif
