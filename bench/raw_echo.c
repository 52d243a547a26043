/*
 * One byte there and back through a PTY, over a raw socket.
 *   raw_echo HOST PORT PATH KEY START-FRAME INPUT-FRAME COUNT
 * prints the median round trip in microseconds and the CPU time of all round
 * trips in seconds. The first output shows that the program is ready.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "raw.h"

#define MAX_FRAME 65536

/* Reads one frame; true when it is PTY output. */
static bool read_output(raw *r, bool *alive) {
  static unsigned char data[MAX_FRAME + 1];
  unsigned char head[4];
  *alive = raw_read_all(r, head, 2);
  if (!*alive)
    return false;
  size_t len = head[1] & 127;
  if (len == 126) {
    *alive = raw_read_all(r, head + 2, 2);
    len = (size_t)head[2] << 8 | head[3];
  }
  *alive = *alive && len <= MAX_FRAME && raw_read_all(r, data, len);
  data[*alive ? len : 0] = '\0';
  return (head[0] & 15) == 2 || strstr((char *)data, "\"output\"");
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 8)
    return 2;
  raw r;
  int rc = 1, count = (int)strtol(argv[7], NULL, 10);
  bool alive = true;
  double cpu, *trips = calloc((size_t)(count > 0 ? count : 1), sizeof(*trips));
  if (!raw_connect(&r, argv[1], argv[2], NULL) || !trips ||
      !raw_upgrade(&r, argv[1], argv[3], argv[4]) || !raw_send(&r, argv[5]))
    goto out;
  while (alive && !read_output(&r, &alive))
    ;
  cpu = cpu_seconds();
  for (int i = 0; i < count && alive; i++) {
    double begin = seconds();
    if (!raw_send(&r, argv[6]))
      goto out;
    while (!read_output(&r, &alive) && alive)
      ;
    trips[i] = seconds() - begin;
  }
  if (!alive || count <= 0)
    goto out;
  cpu = cpu_seconds() - cpu;
  qsort(trips, (size_t)count, sizeof(*trips), compare);
  printf("%.1f %.6f\n", trips[count / 2] * 1e6, cpu);
  rc = 0;

out:
  raw_close(&r);
  free(trips);
  return rc;
}
