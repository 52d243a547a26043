#include "http/outlet.h"

#include <stdlib.h>
#include <string.h>

typedef struct piece {
  uv_write_t write;
  outlet *from;
  char data[];
} piece;

static void on_written(uv_write_t *write, int status) {
  piece *p = write->data;
  outlet *o = p->from;
  free(p);
  o->writes--;
  o->written(o->arg, status);
}

/* Queues what could not be sent at once, in one piece. */
static int queue(outlet *o, const uv_buf_t *parts, unsigned count, size_t size,
                 size_t done) {
  size_t at = 0;
  piece *p = malloc(sizeof(*p) + size - done);
  if (!p)
    return UV_ENOMEM;
  for (unsigned i = 0; i < count; i++) {
    size_t skip = done < parts[i].len ? done : parts[i].len;
    size_t rest = parts[i].len - skip;
    done -= skip;
    if (rest)
      memcpy(p->data + at, parts[i].base + skip, rest);
    at += rest;
  }
  p->from = o;
  p->write.data = p;
  uv_buf_t buf = uv_buf_init(p->data, (unsigned)at);
  int rc = uv_write(&p->write, o->to, &buf, 1, on_written);
  if (rc)
    free(p);
  else
    o->writes++;
  return rc;
}

int outlet_send(outlet *o, const uv_buf_t *parts, unsigned count) {
  size_t size = 0;
  for (unsigned i = 0; i < count; i++)
    size += parts[i].len;
  int sent = o->writes ? 0 : uv_try_write(o->to, parts, count);
  if (sent < 0 && sent != UV_EAGAIN)
    return sent;
  size_t done = sent > 0 ? (size_t)sent : 0;
  return done < size ? queue(o, parts, count, size, done) : 0;
}
