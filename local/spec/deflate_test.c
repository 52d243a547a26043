/* permessage-deflate: offers, and messages there and back. */
#include "http/deflate.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

static void check(bool ok, const char *what) {
  if (ok)
    passed++;
  else
    failed++;
  if (!ok)
    printf("failed: %s\n", what);
}

static void test_offers(void) {
  static const struct {
    const char *header;
    bool ok;
  } cases[] = {
      {"permessage-deflate", true},
      {"permessage-deflate; client_max_window_bits", true},
      {"permessage-deflate;client_max_window_bits=10 ; "
       "client_no_context_takeover",
       true},
      {"Permessage-Deflate ; SERVER_no_context_takeover", true},
      {"x-other; a=b, permessage-deflate", true},
      {"permessage-deflate; server_max_window_bits=10, permessage-deflate",
       true},
      {"permessage-deflate; server_max_window_bits=10", false},
      {"permessage-deflate; unknown", false},
      {"permessage-deflate2", false},
      {"x-permessage-deflate", false},
      {"permessage-deflate x", false},
      {"", false},
      {",", false},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    check(deflate_offered(cases[i].header) == cases[i].ok, cases[i].header);
}

static void test_round_trips(deflate_state *d) {
  static const size_t sizes[] = {0, 1, 5, 1000, 16384, 100000, 1000000};
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    wrenn_buf packed = {0}, unpacked = {0};
    char *data = malloc(sizes[i] + 1);
    for (size_t j = 0; data && j < sizes[i]; j++)
      data[j] = (char)((i % 2 ? j * j >> 3 : j % 7) & 0x7f);
    bool ok = data && deflate_pack(d, data, sizes[i], &packed) &&
              deflate_unpack(d, packed.data, packed.len, sizes[i], &unpacked);
    check(ok && unpacked.len == sizes[i] &&
              (sizes[i] == 0 || !memcmp(unpacked.data, data, sizes[i])),
          "a message comes back");
    check(sizes[i] == 0 || !deflate_unpack(d, packed.data, packed.len,
                                           sizes[i] - 1, &unpacked),
          "a message above the limit does not");
    free(data);
    wrenn_buf_free(&packed);
    wrenn_buf_free(&unpacked);
  }
}

static void test_known(deflate_state *d) {
  /* RFC 7692, 7.2.3.1: "Hello" */
  static const char hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
  wrenn_buf out = {0};
  check(deflate_unpack(d, hello, 7, 5, &out) && out.len == 5 &&
            !memcmp(out.data, "Hello", 5),
        "the RFC's message is understood");
  wrenn_buf_clear(&out);
  check(!deflate_unpack(d, "\xff\xff\xff\xff", 4, 100, &out),
        "nonsense is refused");
  wrenn_buf_clear(&out);
  check(deflate_unpack(d, hello, 7, 5, &out), "and does no harm");
  wrenn_buf_free(&out);
}

/* Bytes from anywhere: an answer, whatever it is, and no harm. */
static void test_nonsense(deflate_state *d) {
  static const char good[] = "the quick brown fox jumps over the lazy dog";
  uint32_t seed = 1;
  bool within = true;
  for (int i = 0; i < 20000; i++) {
    wrenn_buf bytes = {0}, out = {0};
    if (i % 2)
      deflate_pack(d, good, sizeof(good), &bytes);
    else
      wrenn_buf_append(&bytes, good, sizeof(good));
    for (int j = 0; j < 1 + i % 5; j++) {
      seed = seed * 1664525 + 1013904223;
      bytes.data[(seed >> 16) % bytes.len] = (char)(seed >> 25);
    }
    if (deflate_unpack(d, bytes.data, bytes.len, 1000, &out))
      within = within && out.len <= 1000;
    wrenn_buf_free(&bytes);
    wrenn_buf_free(&out);
  }
  check(within, "nonsense stays within its limit");
}

int main(void) {
  deflate_state *d = deflate_new();
  if (!d)
    return 1;
  test_offers();
  test_round_trips(d);
  test_known(d);
  test_nonsense(d);
  deflate_free(d);
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
