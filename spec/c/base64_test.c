/*
 * Base64, the form of a PTY's input and output in text frames: what is sent is
 * standard and padded, what comes is accepted with and without padding and
 * refused when it is malformed.
 */
#include "base64.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

#define LONGEST 64

static void fill(char *bytes, size_t len, unsigned seed) {
  for (size_t i = 0; i < len; i++)
    bytes[i] = (char)((seed = seed * 1103515245u + 12345u) >> 16);
}

/* Decodes from and to memory of exactly the promised sizes. */
static bool decodes(const char *text, size_t len, const char *bytes,
                    size_t bytes_len) {
  size_t got = 0, room = WRENN_BASE64_DECODED(len);
  char *src = malloc(len + 1), *dst = malloc(room ? room : 1);
  memcpy(src + 1, text, len);
  bool ok = wrenn_base64_decode(src + 1, len, dst, &got) && got == bytes_len &&
            memcmp(dst, bytes, bytes_len) == 0;
  free(src);
  free(dst);
  return ok;
}

static bool refused(const char *text, size_t len) {
  size_t got = 0, room = WRENN_BASE64_DECODED(len);
  char *src = malloc(len + 1), *dst = malloc(room ? room : 1);
  memcpy(src + 1, text, len);
  bool ok = wrenn_base64_decode(src + 1, len, dst, &got);
  free(src);
  free(dst);
  return !ok;
}

static void known_answers(void) {
  static const struct {
    const char *plain, *encoded;
  } rows[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {"\xfb\xff\xfe", "+//+"},
      {"\xff\xff\xff", "////"},
      {"ls\n", "bHMK"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char encoded[16];
    size_t len = strlen(rows[i].plain), want = strlen(rows[i].encoded);
    CHECK_ROW(rows[i].encoded, WRENN_BASE64_ENCODED(len) == want);
    wrenn_base64_encode(rows[i].plain, len, encoded);
    CHECK_ROW(rows[i].encoded, memcmp(encoded, rows[i].encoded, want) == 0);
    CHECK_ROW(rows[i].encoded,
              decodes(rows[i].encoded, want, rows[i].plain, len));
  }
}

static void every_length_round_trips(void) {
  for (size_t len = 0; len <= LONGEST; len++) {
    char bytes[LONGEST];
    size_t size = WRENN_BASE64_ENCODED(len), got = 0;
    char *text = malloc(size + 1);
    fill(bytes, len, (unsigned)len);
    wrenn_base64_encode(bytes, len, text);
    CHECK(decodes(text, size, bytes, len));
    CHECK(wrenn_base64_decode(text, size, text, &got)); /* in place */
    CHECK(got == len && memcmp(text, bytes, len) == 0);
    free(text);
  }
}

static void every_byte_round_trips(void) {
  for (unsigned value = 0; value < 256; value++)
    for (size_t at = 0; at < 3; at++) {
      char bytes[3] = {'a', 'b', 'c'}, text[4];
      bytes[at] = (char)value;
      wrenn_base64_encode(bytes, 3, text);
      CHECK(decodes(text, 4, bytes, 3));
    }
}

static void padding_may_be_missing(void) {
  for (size_t len = 0; len <= LONGEST; len++) {
    char bytes[LONGEST], text[WRENN_BASE64_ENCODED(LONGEST)];
    size_t size = WRENN_BASE64_ENCODED(len), got = 0;
    fill(bytes, len, (unsigned)len + 1000);
    wrenn_base64_encode(bytes, len, text);
    while (size && text[size - 1] == '=')
      size--;
    CHECK(decodes(text, size, bytes, len));
    CHECK(wrenn_base64_decode(text, size, text, &got));
    CHECK(got == len && memcmp(text, bytes, len) == 0);
  }
}

static void malformed_padding_is_refused(void) {
  static const char *const rows[] = {
      "=",         "==",       "===",    "====",     "A===",
      "Zg=",       "Zm=8",     "=Zm8",   "Zg==Zg==", "Zm8=Zm8=",
      "Zm9v====",  "Zm9v=",    "Zm9v==", "Zg===",    "Zg==\n",
      "Zm9vYmE==", "Zm8=Zm9v", "Z===",   "Zg= ",     "Zm9v===",
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    CHECK_ROW(rows[i], refused(rows[i], strlen(rows[i])));
}

static bool in_alphabet(unsigned c) {
  return c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                     "0123456789+/",
                     (int)c);
}

static void a_bad_character_is_refused_anywhere(void) {
  for (size_t len = 2; len <= 12; len++) {
    if (len % 4 == 1)
      continue;
    for (size_t at = 0; at < len; at++)
      for (unsigned c = 0; c < 256; c++) {
        char text[12];
        memset(text, 'A', sizeof(text));
        text[at] = (char)c;
        if (in_alphabet(c))
          CHECK(!refused(text, len));
        else if (c != '=' || at + 1 < len || len % 4 != 0) /* that is padding */
          CHECK(refused(text, len));
      }
  }
}

static void an_impossible_length_is_refused(void) {
  char text[LONGEST + 1];
  memset(text, 'A', sizeof(text));
  for (size_t len = 1; len <= LONGEST; len += 4)
    CHECK(refused(text, len));
}

CHECK_MAIN({"known answers", known_answers},
           {"every length round trips", every_length_round_trips},
           {"every byte round trips", every_byte_round_trips},
           {"padding may be missing", padding_may_be_missing},
           {"malformed padding is refused", malformed_padding_is_refused},
           {"a bad character is refused anywhere",
            a_bad_character_is_refused_anywhere},
           {"an impossible length is refused", an_impossible_length_is_refused})
