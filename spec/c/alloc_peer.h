/*
 * A peer in a thread, for the programs in which allocations fail: it answers
 * each request with a capsule, and an upgrade with a command's frames. It
 * allocates nothing.
 */
#ifndef WRENN_SPEC_ALLOC_PEER_H
#define WRENN_SPEC_ALLOC_PEER_H

#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static int alloc_peer_fd;

static inline void alloc_peer_text(int fd, const char *json) {
  char frame[128];
  int len =
      snprintf(frame, sizeof(frame), "\x81%c%s", (char)strlen(json), json);
  send(fd, frame, (size_t)len, MSG_NOSIGNAL);
}

static inline void alloc_peer_switch(int fd, const char *key) {
  unsigned char text[128], sum[SHA_DIGEST_LENGTH], accept[64];
  char head[256];
  int len = snprintf((char *)text, sizeof(text), "%.24s%s", key,
                     "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  SHA1(text, (size_t)len, sum);
  EVP_EncodeBlock(accept, sum, sizeof(sum));
  len = snprintf(head, sizeof(head),
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                 accept);
  send(fd, head, (size_t)len, MSG_NOSIGNAL);
  alloc_peer_text(fd, "{\"type\":\"start\",\"pid\":5}");
  alloc_peer_text(fd, "{\"type\":\"stdout\",\"data\":\"some \\\"text\\\"\"}");
  alloc_peer_text(fd, "{\"type\":\"exit\",\"exit_code\":0}");
}

/* One request on each connection, which is then closed. */
static inline void alloc_peer_answer(int fd) {
  static const char body[] =
      "{\"id\":\"cl-1\",\"status\":\"running\",\"version\":\"0.4.0\","
      "\"exit_code\":0,\"stdout\":\"out\",\"metadata\":{\"a\":\"\\u00e9\"}}";
  char request[8192], answer[512];
  size_t len = 0;
  do {
    ssize_t got = recv(fd, request + len, sizeof(request) - 1 - len, 0);
    if (got <= 0)
      return;
    len += (size_t)got;
    request[len] = '\0';
  } while (!strstr(request, "\r\n\r\n") && len < sizeof(request) - 1);
  const char *key = strstr(request, "Sec-WebSocket-Key: ");
  if (key) {
    alloc_peer_switch(fd, key + strlen("Sec-WebSocket-Key: "));
    return;
  }
  int size = snprintf(answer, sizeof(answer),
                      "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                      "Content-Length: %zu\r\n\r\n%s",
                      strlen(body), body);
  send(fd, answer, (size_t)size, MSG_NOSIGNAL);
}

static inline void *alloc_peer_run(void *arg) {
  int fd;
  (void)arg;
  while ((fd = accept(alloc_peer_fd, NULL, NULL)) >= 0) {
    alloc_peer_answer(fd);
    shutdown(fd, SHUT_WR);
    char rest[512];
    while (recv(fd, rest, sizeof(rest), 0) > 0)
      ;
    close(fd);
  }
  return NULL;
}

/* Starts it; returns its port. It ends with the program. */
static inline unsigned alloc_peer_start(void) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);
  pthread_t thread;
  alloc_peer_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (alloc_peer_fd < 0 ||
      bind(alloc_peer_fd, (struct sockaddr *)&address, len) ||
      listen(alloc_peer_fd, 64) ||
      getsockname(alloc_peer_fd, (struct sockaddr *)&address, &len) ||
      pthread_create(&thread, NULL, alloc_peer_run, NULL) ||
      pthread_detach(thread)) {
    perror("peer");
    exit(1);
  }
  return ntohs(address.sin_port);
}

#endif
