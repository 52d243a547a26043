/*
 * What does not change between the requests that a caller makes again and
 * again: checked, copied and put into libcurl's form once. Internal to the
 * transport of requests.
 */
#ifndef WRENN_REQUEST_H
#define WRENN_REQUEST_H

#include <curl/curl.h>

#include "wrenn.h"

struct wrenn_request {
  unsigned refs; /* the caller's, and one for each operation */
  /* As given; the strings belong to this. The limit of the body is set. */
  wrenn_http_options options;
  struct curl_slist *headers;
  struct curl_slist bodied; /* the same for a request that has a body */
  bool encoded;             /* it asks for a Content-Encoding */
  bool idempotent;
};

wrenn_request *wrenn_request_ref(wrenn_request *request);

#endif
