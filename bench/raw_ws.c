/*
 * The output of a command or terminal over a raw socket, with a frame parser of
 * a few lines and the library's own codec: the minimum of a client.
 *   raw_ws HOST PORT PATH KEY START-FRAME [CA-FILE]
 * prints bytes of output, seconds, and CPU seconds.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "frame.h"
#include "raw.h"

#define ROOM ((size_t)512 * 1024)

typedef struct totals {
  wrenn_codec codec;
  size_t bytes;
  bool closed, failed;
} totals;

static void take_frame(totals *t, int opcode, char *data, size_t len) {
  wrenn_frame frame;
  const char *why;
  if (opcode == 8)
    t->closed = true;
  else if (opcode > 2)
    return;
  else if (!wrenn_frame_decode(t->codec, opcode == 2, data, len, &frame, &why))
    t->failed = true;
  else if (frame.kind == WRENN_FRAME_STDOUT || frame.kind == WRENN_FRAME_OUTPUT)
    t->bytes += frame.data_len;
}

/* Handles the complete frames at the start of a buffer; returns their
 * length. */
static size_t take_frames(totals *t, unsigned char *data, size_t len) {
  size_t done = 0;
  while (len - done >= 2 && !t->failed) {
    unsigned char *at = data + done;
    size_t head = 2, size = at[1] & 127, left = len - done;
    if (size == 126) {
      head = 4;
      if (left < head)
        break;
      size = (size_t)at[2] << 8 | at[3];
    } else if (size == 127) {
      head = 10;
      if (left < head)
        break;
      size = 0;
      for (int i = 2; i < 10; i++)
        size = size << 8 | at[i];
      if (size > ROOM - head) {
        t->failed = true;
        break;
      }
    }
    if (left < head + size)
      break;
    take_frame(t, at[0] & 15, (char *)at + head, size);
    done += head + size;
  }
  return done;
}

int main(int argc, char **argv) {
  if (argc != 6 && argc != 7)
    return 2;
  raw r;
  totals t = {.codec = strstr(argv[3], "/pty") ? WRENN_CODEC_PTY
                                               : WRENN_CODEC_STREAM};
  int rc = 1;
  size_t len = 0;
  double begin = 0, cpu = 0;
  unsigned char *data = malloc(ROOM);
  if (!raw_connect(&r, argv[1], argv[2], argc == 7 ? argv[6] : NULL) || !data ||
      !raw_upgrade(&r, argv[1], argv[3], argv[4]) || !raw_send(&r, argv[5]))
    goto out;
  while (!t.closed && !t.failed) {
    ssize_t got = raw_read(&r, data + len, ROOM - len);
    if (got <= 0)
      goto out;
    if (begin == 0) {
      begin = seconds();
      cpu = cpu_seconds();
    }
    len += (size_t)got;
    size_t done = take_frames(&t, data, len);
    len -= done;
    memmove(data, data + done, len);
  }
  if (t.failed)
    goto out;
  printf("%zu %.6f %.6f\n", t.bytes, seconds() - begin, cpu_seconds() - cpu);
  rc = 0;

out:
  raw_close(&r);
  free(data);
  return rc;
}
