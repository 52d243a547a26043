/* libFuzzer target: frames as a server may send them. The same bytes in one
 * piece and one by one have to come to the same. */
#include "ws_frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 4096

static void require(bool ok) {
  if (!ok)
    abort();
}

static uint64_t mix(uint64_t sum, const void *data, size_t len) {
  const unsigned char *at = data;
  for (size_t i = 0; i < len; i++)
    sum = (sum ^ at[i]) * 0x100000001b3;
  return sum;
}

static uint64_t read_all(const uint8_t *data, size_t size, size_t step) {
  wrenn_ws_reader reader = {.max_message = LIMIT};
  wrenn_ws_result result = WRENN_WS_MORE;
  uint64_t sum = 0;
  for (size_t at = 0; at < size && result <= WRENN_WS_ITEM; at += step) {
    size_t len = size - at < step ? size - at : step;
    char *piece = malloc(len); /* so that reading past it shows */
    const char *next = piece;
    wrenn_ws_item item = {0};
    memcpy(piece, data + at, len);
    while ((result = wrenn_ws_read(&reader, &next, &len, &item)) ==
           WRENN_WS_ITEM) {
      require(item.len <= LIMIT);
      require(item.opcode < WRENN_WS_CLOSE || item.len <= WRENN_WS_CONTROL);
      sum = mix(sum, &item.opcode, sizeof(item.opcode));
      sum = mix(sum, item.data, item.len);
      free(item.opcode < WRENN_WS_CLOSE ? wrenn_ws_reader_take(&reader, &item)
                                        : NULL);
    }
    require(result != WRENN_WS_MORE || len == 0);
    require(result != WRENN_WS_BAD || (reader.why && *reader.why));
    free(piece);
  }
  wrenn_ws_reader_free(&reader);
  return mix(sum, &result, sizeof(result));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint64_t whole = read_all(data, size, size ? size : 1);
  require(read_all(data, size, 1) == whole);
  require(read_all(data, size, 7) == whole);
  return 0;
}
