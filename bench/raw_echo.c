/*
 * One byte there and back through a PTY, over a raw socket: the shortest
 * WebSocket client that can be written, for short frames from a trusted peer.
 *   raw_echo HOST PORT PATH KEY START-FRAME INPUT-FRAME COUNT
 * prints the median round trip in microseconds. The program in the PTY is
 * told to be ready by its first output.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

#define MAX_FRAME 65536

static bool read_all(int fd, unsigned char *data, size_t len) {
  while (len) {
    ssize_t got = read(fd, data, len);
    if (got <= 0)
      return false;
    data += got;
    len -= (size_t)got;
  }
  return true;
}

static bool send_frame(int fd, const char *text) {
  unsigned char frame[8 + 1024] = {0x81};
  size_t len = strlen(text), at = 2;
  if (len > 1024)
    return false;
  if (len < 126) {
    frame[1] = (unsigned char)(0x80 | len);
  } else {
    frame[1] = 0x80 | 126;
    frame[2] = (unsigned char)(len >> 8);
    frame[3] = (unsigned char)len;
    at = 4;
  }
  at += 4;                       /* a mask of zeros */
  memcpy(frame + at, text, len); /* NOLINT: a frame has no NUL */
  return write(fd, frame, at + len) == (ssize_t)(at + len);
}

/* Reads one frame; true when it is PTY output. */
static bool read_output(int fd, bool *alive) {
  static unsigned char data[MAX_FRAME + 1];
  unsigned char head[4];
  *alive = read_all(fd, head, 2);
  if (!*alive)
    return false;
  size_t len = head[1] & 127;
  if (len == 126) {
    *alive = read_all(fd, head + 2, 2);
    len = (size_t)head[2] << 8 | head[3];
  }
  *alive = *alive && len <= MAX_FRAME && read_all(fd, data, len);
  data[*alive ? len : 0] = '\0';
  return (head[0] & 15) == 2 || strstr((char *)data, "\"output\"");
}

static bool upgrade(int fd, char **argv) {
  char text[2048];
  char byte;
  unsigned matched = 0;
  int len = snprintf(text, sizeof(text),
                     "GET %s HTTP/1.1\r\nHost: %s:%s\r\nX-API-Key: %s\r\n"
                     "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                     argv[3], argv[1], argv[2], argv[4]);
  if (len < 0 || len >= (int)sizeof(text) ||
      write(fd, text, (size_t)len) != len)
    return false;
  while (matched < 4 && read_all(fd, (unsigned char *)&byte, 1))
    matched = byte == "\r\n\r\n"[matched] ? matched + 1 : byte == '\r';
  return matched == 4;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 8)
    return 2;
  int rc = 1, on = 1, count = (int)strtol(argv[7], NULL, 10);
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port =
                               htons((uint16_t)strtol(argv[2], NULL, 10))};
  bool alive = true;
  double *trips = calloc((size_t)(count > 0 ? count : 1), sizeof(*trips));
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (!trips || fd < 0 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
    goto out;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd, (struct sockaddr *)&to, sizeof(to)) || !upgrade(fd, argv) ||
      !send_frame(fd, argv[5]))
    goto out;
  while (alive && !read_output(fd, &alive))
    ;
  for (int i = 0; i < count && alive; i++) {
    double begin = seconds();
    if (!send_frame(fd, argv[6]))
      goto out;
    while (!read_output(fd, &alive) && alive)
      ;
    trips[i] = seconds() - begin;
  }
  if (!alive || count <= 0)
    goto out;
  qsort(trips, (size_t)count, sizeof(*trips), compare);
  printf("%.1f\n", trips[count / 2] * 1e6);
  rc = 0;

out:
  if (fd >= 0)
    close(fd);
  free(trips);
  return rc;
}
