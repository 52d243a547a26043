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
  wrenn_ws_answer answer;
  int status;
  size_t used, head, body;
} outcome;

static outcome read_all(const uint8_t *data, size_t size, size_t step) {
  wrenn_ws_upgrade upgrade = {.accept = "accept", .protocols = "a, b"};
  outcome o = {.answer = WRENN_WS_WAITING};
  for (size_t at = 0; at < size && !o.answer; at += step) {
    size_t len = size - at < step ? size - at : step, left = len;
    char *piece = malloc(len); /* so that reading past it shows */
    const char *next = piece;
    memcpy(piece, data + at, len);
    o.answer = wrenn_ws_upgrade_read(&upgrade, &next, &left);
    require(o.answer || left == 0);
    o.used += len - left;
    free(piece);
  }
  if (!o.answer)
    o.answer = wrenn_ws_upgrade_end(&upgrade);
  require(o.answer != WRENN_WS_WRONG || (upgrade.why && *upgrade.why));
  require(o.answer != WRENN_WS_SWITCHED || upgrade.status == 101);
  require(o.answer != WRENN_WS_REFUSED || upgrade.status >= 200);
  o.status = upgrade.status;
  o.head = upgrade.head.len;
  o.body = upgrade.body.len;
  wrenn_ws_upgrade_free(&upgrade);
  return o;
}

static bool same(const outcome *a, const outcome *b) {
  /* What is no HTTP is told as soon as that is known. */
  return a->answer == b->answer && a->status == b->status &&
         (a->used == b->used || a->answer == WRENN_WS_WRONG) &&
         a->head == b->head && a->body == b->body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  outcome whole = read_all(data, size, size ? size : 1);
  outcome bytes = read_all(data, size, 1);
  outcome pieces = read_all(data, size, 7);
  require(same(&whole, &bytes) && same(&whole, &pieces));
  return 0;
}
