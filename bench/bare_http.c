/*
 * Small requests with bare libcurl: one easy handle, one connection.
 *   bare_http URL KEY COUNT
 * prints requests per second, and the CPU time of all requests in seconds.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"

static size_t count_bytes(char *data, size_t size, size_t count, void *arg) {
  (void)data;
  *(size_t *)arg += size * count;
  return size * count;
}

int main(int argc, char **argv) {
  if (argc != 4)
    return 2;
  char header[128];
  size_t bytes = 0;
  long count = strtol(argv[3], NULL, 10);
  int rc = 1;
  snprintf(header, sizeof(header), "X-API-Key: %s", argv[2]);
  CURL *easy = curl_easy_init();
  struct curl_slist *headers = curl_slist_append(NULL, header);
  if (!easy || !headers)
    goto out;
  curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, count_bytes);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes);
  curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
  if (curl_easy_perform(easy)) /* connects */
    goto out;
  double begin = seconds(), cpu = cpu_seconds();
  for (long i = 0; i < count; i++)
    if (curl_easy_perform(easy))
      goto out;
  printf("%.1f %.6f\n", (double)count / (seconds() - begin),
         cpu_seconds() - cpu);
  rc = 0;

out:
  curl_slist_free_all(headers);
  curl_easy_cleanup(easy);
  return rc;
}
