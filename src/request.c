#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connection.h"

#define MAX_BODY ((size_t)1024 * 1024 * 1024)

static bool method_ok(const char *method) {
  size_t len = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  return len > 0 && method[len] == '\0';
}

static bool is_idempotent(const char *method) {
  static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE",
                                        "OPTIONS"};
  for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
    if (strcmp(method, methods[i]) == 0)
      return true;
  return false;
}

/* Makes a string the request's own. False: out of memory. */
static bool own(const char **text) {
  *text = *text ? strdup(*text) : NULL;
  return *text != NULL;
}

static bool own_strings(wrenn_http_options *options) {
  wrenn_net *net = &options->net;
  bool wants_file = net->ca_file, wants_proxy = net->proxy;
  bool method = own(&options->method), url = own(&options->url);
  bool file = own(&net->ca_file), proxy = own(&net->proxy);
  return method && url && (file || !wants_file) && (proxy || !wants_proxy);
}

static wrenn_status take_header(wrenn_request *request, const char *line) {
  if (!wrenn_header_line_ok(line))
    return WRENN_E_ARGUMENT;
  struct curl_slist *longer = curl_slist_append(request->headers, line);
  if (!longer)
    return WRENN_E_MEMORY;
  request->headers = longer;
  if (strncasecmp(line, "Accept-Encoding:", 16) == 0)
    request->encoded = true;
  return WRENN_OK;
}

wrenn_status wrenn_request_new(const wrenn_http_options *given,
                               wrenn_request **made) {
  static char no_expect[] = "Expect:"; /* libcurl would wait for a 100 */
  wrenn_http_options options;
  if (!wrenn_options_copy(&options, sizeof(options), given, given->size))
    return WRENN_E_ARGUMENT;
  if (!options.method)
    options.method = "GET";
  if (!method_ok(options.method) || !options.url ||
      !wrenn_url_ok(options.url, "http"))
    return WRENN_E_ARGUMENT;
  wrenn_request *request = calloc(1, sizeof(*request));
  if (!request)
    return WRENN_E_MEMORY;
  request->refs = 1;
  request->options = options;
  request->options.headers = NULL;
  request->options.body = NULL;
  request->options.max_body = options.max_body ? options.max_body : MAX_BODY;
  request->idempotent = is_idempotent(options.method);
  wrenn_status status =
      own_strings(&request->options) ? WRENN_OK : WRENN_E_MEMORY;
  for (size_t i = 0; i < options.header_count && !status; i++)
    status = take_header(request, options.headers[i]);
  request->bodied =
      (struct curl_slist){.data = no_expect, .next = request->headers};
  if (status)
    wrenn_request_free(request);
  else
    *made = request;
  return status;
}

wrenn_request *wrenn_request_ref(wrenn_request *request) {
  request->refs++;
  return request;
}

void wrenn_request_free(wrenn_request *request) {
  if (!request || --request->refs > 0)
    return;
  free((char *)request->options.method);
  free((char *)request->options.url);
  free((char *)request->options.net.ca_file);
  free((char *)request->options.net.proxy);
  curl_slist_free_all(request->headers);
  free(request);
}
