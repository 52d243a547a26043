#include "http/deflate.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define WINDOW_BITS 15
#define MEMORY_LEVEL 8
#define PIECE ((size_t)16 * 1024)
/* The bytes that a flush adds to a message, which are not sent. */
#define TAIL "\0\0\xff\xff"
#define TAIL_LEN ((size_t)4)

struct deflate_state {
  z_stream out, in;
};

/* ---- offers -------------------------------------------------------------- */

static const char *skip_space(const char *at) { return at + strspn(at, " \t"); }

/* Whether the text continues with this word; advances the position past it. */
static bool take_word(const char **at, const char *word) {
  size_t len = strcspn(*at, " \t;,=");
  bool same = len == strlen(word) && strncasecmp(*at, word, len) == 0;
  if (same)
    *at = skip_space(*at + len);
  return same;
}

/* The only parameter that cannot be accepted limits the server's window. */
static bool offer_ok(const char *at) {
  if (!take_word(&at, "permessage-deflate"))
    return false;
  while (*at == ';') {
    at = skip_space(at + 1);
    if (take_word(&at, "client_max_window_bits")) {
      if (*at == '=')
        at += strcspn(at, ";,");
    } else if (!take_word(&at, "client_no_context_takeover") &&
               !take_word(&at, "server_no_context_takeover")) {
      return false;
    }
  }
  return *at == '\0' || *at == ',';
}

bool deflate_offered(const char *header) {
  for (const char *at = header; at; at = strchr(at, ',')) {
    at = skip_space(at + (*at == ','));
    if (offer_ok(at))
      return true;
  }
  return false;
}

/* ---- messages ------------------------------------------------------------ */

deflate_state *deflate_new(void) {
  deflate_state *d = calloc(1, sizeof(*d));
  if (!d)
    return NULL;
  if (deflateInit2(&d->out, Z_BEST_SPEED, Z_DEFLATED, -WINDOW_BITS,
                   MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
    free(d);
    return NULL;
  }
  if (inflateInit2(&d->in, -WINDOW_BITS) != Z_OK) {
    deflateEnd(&d->out);
    free(d);
    return NULL;
  }
  return d;
}

void deflate_free(deflate_state *d) {
  if (!d)
    return;
  deflateEnd(&d->out);
  inflateEnd(&d->in);
  free(d);
}

static void give(z_stream *z, const char *data, size_t len) {
  z->next_in = (Bytef *)data;
  z->avail_in = (uInt)len;
}

/* Makes room for a piece of the output. */
static bool make_room(z_stream *z, wrenn_buf *out) {
  if (!wrenn_buf_reserve(out, PIECE))
    return false;
  z->next_out = (Bytef *)out->data + out->len;
  z->avail_out = (uInt)PIECE;
  return true;
}

bool deflate_pack(deflate_state *d, const char *data, size_t len,
                  wrenn_buf *out) {
  size_t before = out->len;
  if (len > UINT_MAX || deflateReset(&d->out) != Z_OK)
    return false;
  give(&d->out, data, len);
  do {
    if (!make_room(&d->out, out))
      return false;
    deflate(&d->out, Z_SYNC_FLUSH);
    out->len += PIECE - d->out.avail_out;
  } while (d->out.avail_out == 0);
  if (out->len - before < TAIL_LEN)
    return false;
  out->len -= TAIL_LEN;
  return true;
}

/* Decompresses the input; `max` limits the size of `out`. */
static bool unpack(z_stream *z, size_t max, wrenn_buf *out) {
  for (;;) {
    if (!make_room(z, out))
      return false;
    int rc = inflate(z, Z_SYNC_FLUSH);
    out->len += PIECE - z->avail_out;
    if (out->len > max ||
        (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR))
      return false;
    if (z->avail_out > 0) /* it needs more input, or has finished */
      return z->avail_in == 0;
  }
}

bool deflate_unpack(deflate_state *d, const char *data, size_t len, size_t max,
                    wrenn_buf *out) {
  if (len > UINT_MAX || inflateReset(&d->in) != Z_OK)
    return false;
  max += out->len;
  give(&d->in, data, len);
  if (!unpack(&d->in, max, out))
    return false;
  give(&d->in, TAIL, TAIL_LEN);
  return unpack(&d->in, max, out);
}
