/* libFuzzer target: any message, decoded with each codec. The first byte of
 * the input tells whether the message is binary. */
#include "frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok) {
  if (!ok)
    abort();
}

static bool inside(const char *at, size_t len, const char *text, size_t size) {
  uintptr_t from = (uintptr_t)text, p = (uintptr_t)at;
  return p >= from && p - from <= size && len <= size - (p - from);
}

static bool constant(const char *at, size_t len, const char *word) {
  return len == strlen(word) && memcmp(at, word, len) == 0;
}

static void decode(wrenn_codec codec, bool binary, const uint8_t *data,
                   size_t size) {
  char *text = malloc(size ? size : 1);
  wrenn_frame f;
  const char *why = NULL;
  if (size)
    memcpy(text, data, size);
  if (!wrenn_frame_decode(codec, binary, text, size, &f, &why)) {
    require(why && *why);
  } else {
    require(f.kind <= WRENN_FRAME_UNKNOWN && f.binary == binary);
    require(f.type && f.type_len > 0 && f.data);
    require(inside(f.type, f.type_len, text, size) ||
            constant(f.type, f.type_len, "unknown") ||
            constant(f.type, f.type_len, "output"));
    require(inside(f.data, f.data_len, text, size) || f.data_len == 0);
    require(!f.tag || inside(f.tag, f.tag_len, text, size));
  }
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  bool binary = data[0] == 'b';
  decode(WRENN_CODEC_STREAM, binary, data + 1, size - 1);
  decode(WRENN_CODEC_PTY, binary, data + 1, size - 1);
  return 0;
}
