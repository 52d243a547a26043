/*
 * A parser of multipart/form-data in pieces of any size. No I/O: bytes in,
 * events out. It reports only what the file endpoints need: the names of the
 * parts and their contents.
 */
#ifndef WRENN_LOCAL_HTTP_MULTIPART_H
#define WRENN_LOCAL_HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#define MULTIPART_BOUNDARY_MAX 200
#define MULTIPART_HEADER_MAX 8192

typedef enum multipart_event {
  MULTIPART_PART, /* a part begins; data is its name */
  MULTIPART_DATA, /* bytes of the part */
  MULTIPART_END   /* the part is complete */
} multipart_event;

/* Returns false to stop the parser. */
typedef bool multipart_handler(void *arg, multipart_event event,
                               const char *data, size_t len);

typedef struct multipart {
  multipart_handler *handle;
  void *arg;
  char delimiter[MULTIPART_BOUNDARY_MAX + 5]; /* CR LF - - boundary */
  size_t delimiter_len;
  int state;
  bool in_part;
  size_t matched; /* of the delimiter */
  char tail[64];  /* what followed a possible delimiter */
  size_t tail_len;
  size_t header_len;
  char header[MULTIPART_HEADER_MAX];
} multipart;

/* Starts a parser for a Content-Type header. False when that is not
 * multipart/form-data with a boundary. */
bool multipart_start(multipart *m, const char *content_type,
                     multipart_handler *handle, void *arg);

/* Parses the next bytes. Returns false if they are malformed or the handler has
 * stopped the parser. */
bool multipart_feed(multipart *m, const char *data, size_t len);

/* Whether the closing delimiter has been seen. */
bool multipart_complete(const multipart *m);

#endif
