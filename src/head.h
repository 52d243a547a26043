/*
 * The head of an HTTP/1 answer, line by line: how long the body is, and
 * whether that is certain. An answer whose end is ambiguous is rejected: a
 * file that is cut short must not pass for the whole file. Internal; does no
 * I/O.
 */
#ifndef WRENN_HEAD_H
#define WRENN_HEAD_H

#include <stdint.h>

#include "buf.h"
#include "wrenn.h"

typedef struct wrenn_head {
  /* Set by the owner, before the first line. */
  bool no_body; /* the request was a HEAD */
  bool encoded; /* the request has an Accept-Encoding of its own */
  /* The result. */
  wrenn_buf lines; /* the header lines as received, of the newest head */
  int status;
  bool done;      /* the final answer's head is complete */
  int64_t length; /* Content-Length; -1: none */
  bool chunked;
  bool begun; /* a status line has arrived, the head is not complete */
  bool old;   /* HTTP/1.0 */
  bool coded; /* it has a Content-Encoding other than identity */
  size_t bytes;
  unsigned count;   /* number of lines in the newest head */
  unsigned interim; /* number of heads before that of the final answer */
  wrenn_status error;
  const char *why; /* constant text for `error` */
} wrenn_head;

/* Handles one line as received, including the empty one at the end of a head,
 * and trailers after the final head. False: `error` and `why` say what is wrong
 * with it. Free with wrenn_head_free, also if zeroed. */
bool wrenn_head_take(wrenn_head *head, const char *line, size_t len);

void wrenn_head_free(wrenn_head *head);

#endif
