#include "url.h"

#include <curl/urlapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *join(const char *a, const char *glue, const char *b) {
  size_t size = strlen(a) + strlen(glue) + strlen(b) + 1;
  char *text = malloc(size);
  if (text)
    snprintf(text, size, "%s%s%s", a, glue, b);
  return text;
}

/* Returns a part of the URL, owned by libcurl; NULL if it is absent. */
static char *part(CURLU *parsed, CURLUPart which, unsigned flags) {
  char *text = NULL;
  return curl_url_get(parsed, which, &text, flags) ? NULL : text;
}

wrenn_status wrenn_url_parse(wrenn_url *url, const char *text) {
  wrenn_status status = WRENN_E_MEMORY;
  char *host = NULL, *port = NULL, *path = NULL, *query = NULL;
  *url = (wrenn_url){0};
  CURLU *parsed = curl_url();
  if (!parsed)
    goto out;
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, text,
                                CURLU_PATH_AS_IS | CURLU_DISALLOW_USER);
  if (code && code != CURLUE_OUT_OF_MEMORY)
    status = WRENN_E_ARGUMENT;
  if (code)
    goto out;
  host = part(parsed, CURLUPART_HOST, 0);
  port = part(parsed, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);
  path = part(parsed, CURLUPART_PATH, 0);
  query = part(parsed, CURLUPART_QUERY, 0);
  if (!host || !path) /* such a URL has both */
    goto out;
  url->authority = join(host, port ? ":" : "", port ? port : "");
  url->path = join(path, query ? "?" : "", query ? query : "");
  if (url->authority && url->path)
    status = WRENN_OK;

out:
  curl_free(host);
  curl_free(port);
  curl_free(path);
  curl_free(query);
  curl_url_cleanup(parsed);
  if (status)
    wrenn_url_free(url);
  return status;
}

void wrenn_url_free(wrenn_url *url) {
  free(url->authority);
  free(url->path);
  *url = (wrenn_url){0};
}
