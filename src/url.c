#include "url.h"

#include <curl/urlapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A part as the caller's own string; NULL when it is absent. */
static char *part(CURLU *parsed, CURLUPart which) {
  char *text = NULL, *copy = NULL;
  if (curl_url_get(parsed, which, &text, 0) == CURLUE_OK)
    copy = strdup(text);
  curl_free(text);
  return copy;
}

static char *join(const char *a, const char *glue, const char *b) {
  size_t size = strlen(a) + strlen(glue) + strlen(b) + 1;
  char *text = malloc(size);
  if (text)
    snprintf(text, size, "%s%s%s", a, glue, b);
  return text;
}

/* "[::1]" to "::1", in place. */
static void strip_brackets(char *host) {
  size_t len = strlen(host);
  if (len < 2 || host[0] != '[' || host[len - 1] != ']')
    return;
  memmove(host, host + 1, len - 2);
  host[len - 2] = '\0';
}

bool wrenn_url_parse(wrenn_url *url, const char *text) {
  bool ok = false;
  char *scheme = NULL, *port = NULL, *query = NULL, *user = NULL,
       *password = NULL, *path = NULL;
  *url = (wrenn_url){0};
  CURLU *parsed = curl_url();
  if (!parsed || curl_url_set(parsed, CURLUPART_URL, text,
                              CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS))
    goto out;
  scheme = part(parsed, CURLUPART_SCHEME);
  url->host = part(parsed, CURLUPART_HOST);
  path = part(parsed, CURLUPART_PATH);
  if (!scheme || !url->host || !path)
    goto out;
  url->secure = !strcmp(scheme, "wss") || !strcmp(scheme, "https");
  if (!url->secure && strcmp(scheme, "ws") && strcmp(scheme, "http"))
    goto out;
  port = part(parsed, CURLUPART_PORT);
  url->port = port ? (int)strtol(port, NULL, 10) : url->secure ? 443 : 80;
  url->authority = url->port == (url->secure ? 443 : 80) || !port
                       ? strdup(url->host)
                       : join(url->host, ":", port);
  query = part(parsed, CURLUPART_QUERY);
  url->path = query ? join(path, "?", query) : strdup(path);
  user = part(parsed, CURLUPART_USER);
  password = part(parsed, CURLUPART_PASSWORD);
  if (user)
    url->userinfo = join(user, ":", password ? password : "");
  strip_brackets(url->host);
  ok = url->authority && url->path && (!user || url->userinfo);

out:
  if (parsed)
    curl_url_cleanup(parsed);
  free(scheme);
  free(port);
  free(query);
  free(user);
  free(password);
  free(path);
  if (!ok)
    wrenn_url_free(url);
  return ok;
}

void wrenn_url_free(wrenn_url *url) {
  free(url->host);
  free(url->authority);
  free(url->path);
  free(url->userinfo);
  *url = (wrenn_url){0};
}
