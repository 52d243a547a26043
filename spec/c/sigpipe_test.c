/*
 * A write to a TLS connection that has ended kills nobody. Where the TLS
 * library writes by itself it does so without MSG_NOSIGNAL: here all that
 * libcurl sends goes that way, and libcurl says to be one that leaves it to
 * OpenSSL.
 */
#include <wrenn/wrenn.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

#define LIMIT_MS 20000

static int writes;

/* In front of the C library's: the connection has ended when this is called. */
__attribute__((visibility("default"))) ssize_t send(int fd, const void *buf,
                                                    size_t n, int flags) {
  (void)flags;
  writes++;
  shutdown(fd, SHUT_WR);
  return write(fd, buf, n);
}

/* And in front of libcurl's. */
__attribute__((visibility("default"))) curl_version_info_data *
curl_version_info(CURLversion age) {
  static curl_version_info_data old = {.version_num = 0x075500,
                                       .ssl_version = "OpenSSL/3.0.0"};
  (void)age;
  return &old;
}

/* A socket that accepts connections and never answers; its port. */
static int listen_somewhere(unsigned *port) {
  struct sockaddr_in name = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(name);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(fd, (struct sockaddr *)&name, len) || listen(fd, 4) ||
      getsockname(fd, (struct sockaddr *)&name, &len))
    return -1;
  *port = ntohs(name.sin_port);
  return fd;
}

static bool is_pending(void) {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE);
}

static bool is_blocked(void) {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  return sigismember(&mask, SIGPIPE);
}

/* Asks the peer over TLS, in vain. */
static void ask(wrenn_loop *loop, unsigned port) {
  char url[64];
  wrenn_event event;
  wrenn_id id;
  snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
  const wrenn_http_options options = {
      .size = sizeof(options), .url = url, .deadlines.total_ms = LIMIT_MS};
  CHECK(wrenn_http_start(loop, &options, &id) == WRENN_OK);
  while (!wrenn_loop_next(loop, &event))
    CHECK(wrenn_loop_wait(loop, LIMIT_MS) == WRENN_OK);
  CHECK(event.type == WRENN_EV_FAILED && event.error != WRENN_E_TIMEOUT);
  CHECK(writes > 0);
}

static void test_write_to_an_end(void) {
  wrenn_status status;
  unsigned port = 0;
  wrenn_loop *loop = wrenn_loop_new(&status);
  int fd = listen_somewhere(&port);
  writes = 0;
  CHECK(loop && fd >= 0);
  signal(SIGPIPE, SIG_DFL);
  ask(loop, port);
  CHECK(!is_pending() && !is_blocked());
  wrenn_loop_free(loop);
  close(fd);
}

/* The program's own, which it has blocked, is not taken from it. */
static void test_signal_of_the_program(void) {
  wrenn_status status;
  unsigned port = 0;
  sigset_t sigpipe;
  wrenn_loop *loop = wrenn_loop_new(&status);
  int fd = listen_somewhere(&port);
  writes = 0;
  CHECK(loop && fd >= 0);
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, NULL);
  raise(SIGPIPE);
  ask(loop, port);
  CHECK(is_pending() && is_blocked());
  wrenn_loop_free(loop);
  close(fd);
}

CHECK_MAIN({"a write to a connection that has ended", test_write_to_an_end},
           {"a signal of the program's own", test_signal_of_the_program})
