/*
 * The head of an HTTP/1 answer, line by line: what it says of the body, and
 * whether it can be believed. Only what leaves no doubt of where the body
 * ends is taken: a file that is cut short must not pass for the file.
 * Internal; does no I/O.
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
  /* What it is made of. */
  wrenn_buf lines; /* the header lines as received, of the newest head */
  int status;
  bool done;      /* the final answer's head is complete */
  int64_t length; /* Content-Length; -1: none */
  bool chunked;
  bool begun; /* a status line has come and its head is not complete */
  bool old;   /* HTTP/1.0 */
  bool coded; /* a Content-Encoding that is none of the identity */
  size_t bytes;
  unsigned count;   /* lines of the newest head */
  unsigned interim; /* heads before the final answer's */
  wrenn_status error;
  const char *why; /* constant text for `error` */
} wrenn_head;

/* Takes one line as it was received, the blank one at the end of a head
 * included; after the final head, trailers. False: `error` and `why` tell what
 * is wrong with it. Free with wrenn_head_free, zeroed or not. */
bool wrenn_head_take(wrenn_head *head, const char *line, size_t len);

void wrenn_head_free(wrenn_head *head);

#endif
