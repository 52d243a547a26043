/* libFuzzer target: answers to an upgrade. The same bytes in one piece and one
 * by one have to come to the same. */
#include "ws_upgrade.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok) {
  if (!ok)
    abort();
}

typedef struct outcome {
  wrenn_answer_state answer;
  bool fits;
  int status;
  size_t used, head, body;
} outcome;

static outcome read_all(const uint8_t *data, size_t size, size_t step) {
  wrenn_answer answer = {0};
  outcome o = {.answer = WRENN_ANSWER_WAITING};
  for (size_t at = 0; at < size && !o.answer; at += step) {
    size_t len = size - at < step ? size - at : step, left = len;
    char *piece = malloc(len); /* so that reading past it shows */
    const char *next = piece;
    memcpy(piece, data + at, len);
    o.answer = wrenn_answer_read(&answer, &next, &left);
    require(o.answer || left == 0);
    o.used += len - left;
    free(piece);
  }
  if (!o.answer)
    o.answer = wrenn_answer_end(&answer);
  require(o.answer != WRENN_ANSWER_WRONG || (answer.why && *answer.why));
  require(o.answer != WRENN_ANSWER_SWITCHED || answer.status == 101);
  require(o.answer != WRENN_ANSWER_WHOLE || answer.status >= 200);
  o.fits = o.answer == WRENN_ANSWER_SWITCHED &&
           !wrenn_ws_upgrade_fault(&answer, "accept", "a, b");
  o.status = answer.status;
  o.head = answer.head.len;
  o.body = answer.body.len;
  wrenn_answer_free(&answer);
  return o;
}

static bool same(const outcome *a, const outcome *b) {
  /* What is no HTTP is told as soon as that is known. */
  return a->answer == b->answer && a->status == b->status &&
         a->fits == b->fits &&
         (a->used == b->used || a->answer == WRENN_ANSWER_WRONG) &&
         a->head == b->head && a->body == b->body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  outcome whole = read_all(data, size, size ? size : 1);
  outcome bytes = read_all(data, size, 1);
  outcome pieces = read_all(data, size, 7);
  require(same(&whole, &bytes) && same(&whole, &pieces));
  return 0;
}
