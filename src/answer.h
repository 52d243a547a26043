/*
 * A reader of one whole HTTP answer from bytes, with a body in any framing: of
 * what answers an upgrade, and of a refusal that libcurl has not read. No I/O:
 * bytes in, outcome out.
 */
#ifndef WRENN_ANSWER_H
#define WRENN_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

typedef enum wrenn_answer_state {
  WRENN_ANSWER_WAITING,  /* all input is consumed: more is needed */
  WRENN_ANSWER_SWITCHED, /* the head of a 101; what follows is not HTTP */
  WRENN_ANSWER_WHOLE,    /* status, head and body are complete */
  WRENN_ANSWER_WRONG,    /* `why` says what the server did */
  WRENN_ANSWER_HEAD_TOO_LARGE,
  WRENN_ANSWER_OUT_OF_MEMORY
} wrenn_answer_state;

/* All zero: nothing has been read. */
typedef struct wrenn_answer {
  const char *why; /* after WRONG; a constant string */
  int status;      /* 0: no answer has begun */
  wrenn_buf head;  /* the header lines as received, CRLF */
  wrenn_buf body;  /* without its framing; what is too much is left out */
  /* the reader's own */
  int stage;
  size_t head_size; /* of all answers, including 1xx */
  wrenn_buf line;
  bool chunked;
  uint64_t left; /* bytes of the body or chunk to come */
} wrenn_answer;

/* Reads *len bytes at *at, and advances both. */
wrenn_answer_state wrenn_answer_read(wrenn_answer *answer, const char **at,
                                     size_t *len);

/* The connection has ended or the time is over. Returns WRENN_ANSWER_WHOLE if
 * the head is complete (`body` is what has arrived), else
 * WRENN_ANSWER_WAITING. */
wrenn_answer_state wrenn_answer_end(const wrenn_answer *answer);

/* The value of the header in a line of `len` bytes, whose length it becomes;
 * NULL if it is another header. */
const char *wrenn_answer_value(const char *line, size_t *len, const char *name);

/* Whether a comma-separated list contains a word, ignoring case. */
bool wrenn_answer_has_word(const char *list, size_t len, const char *word,
                           size_t word_len);

void wrenn_answer_free(wrenn_answer *answer);

#endif
