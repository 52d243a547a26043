/* The HTTP transport's own declarations; its API is in wrenn.h. Internal. */
#ifndef WRENN_HTTP_H
#define WRENN_HTTP_H

#include "loop.h"

typedef struct wrenn_http_engine wrenn_http_engine;

/* Whether a "Name: value" line is fit to be sent. */
bool wrenn_header_line_ok(const char *line);

#endif
