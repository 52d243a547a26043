/* What the files of the HTTP transport share. Internal. */
#ifndef WRENN_HTTP_ENGINE_H
#define WRENN_HTTP_ENGINE_H

#include <curl/curl.h>

#include "http.h"

#define WRENN_SPARE_HANDLES 16

typedef struct wrenn_watch wrenn_watch;

struct wrenn_http_engine {
  wrenn_loop *loop;
  CURLM *multi;
  uv_timer_t timer;
  bool closing;
  unsigned open_handles; /* libuv handles whose close is under way or due */
  CURL *spare[WRENN_SPARE_HANDLES]; /* prepared: making one is slow */
  size_t spare_count;
  wrenn_watch **watches; /* of the sockets that stay open, by descriptor */
  size_t watch_count;
};

/* ---- http.c -------------------------------------------------------------- */

/* Tells libcurl what happened to a socket, and ends what that has finished. */
void wrenn_http_act(wrenn_http_engine *engine, curl_socket_t fd, int events);

/* One of the `open_handles` is closed. */
void wrenn_http_release(wrenn_http_engine *engine);

/* ---- http_watch.c -------------------------------------------------------- */

/* A socket has been opened for a connection, and stays watched from transfer
 * to transfer until wrenn_watch_close. False: out of memory or of system. */
bool wrenn_watch_open(wrenn_http_engine *engine, curl_socket_t fd);

/* Callbacks of libcurl's; the last argument but one, or the first, is the
 * engine. */
int wrenn_watch_change(CURL *easy, curl_socket_t fd, int what, void *arg,
                       void *socket_arg);
int wrenn_watch_close(void *arg, curl_socket_t fd);

/* Ends what is left once libcurl is done. */
void wrenn_watch_close_all(wrenn_http_engine *engine);

#endif
