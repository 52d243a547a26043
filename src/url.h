/* The parts of a URL for an upgrade request. Internal. */
#ifndef WRENN_URL_H
#define WRENN_URL_H

#include "wrenn.h"

typedef struct wrenn_url {
  char *authority; /* for the Host header: the port only when it is not the
                      scheme's own */
  char *path;      /* with its query; at least "/" */
} wrenn_url;

/* Parses an absolute http or https URL: WRENN_E_ARGUMENT if it is malformed or
 * contains a user name. After a failure *url is empty. Free with
 * wrenn_url_free. */
wrenn_status wrenn_url_parse(wrenn_url *url, const char *text);

void wrenn_url_free(wrenn_url *url);

#endif
