/* The parts of a URL for an upgrade request. Internal. */
#ifndef WRENN_URL_H
#define WRENN_URL_H

#include <stdbool.h>

typedef struct wrenn_url {
  char *authority; /* for the Host header: the port only when it is not the
                      scheme's own */
  char *path;      /* with its query; at least "/" */
} wrenn_url;

/* Parses an absolute http or https URL. Returns false if it is malformed,
 * contains a user name, or memory is out; *url is then empty. Free with
 * wrenn_url_free. */
bool wrenn_url_parse(wrenn_url *url, const char *text);

void wrenn_url_free(wrenn_url *url);

#endif
