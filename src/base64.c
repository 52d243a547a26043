#include "base64.h"

#include <stdint.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define BAD 0xff

/* The value of each byte in the alphabet; BAD for all others. */
static const uint8_t values[256] = {
#define ROW BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD
    ROW, ROW, ROW, ROW, ROW, BAD, BAD, BAD, 62,  BAD, BAD, BAD, 63,  52,
    53,  54,  55,  56,  57,  58,  59,  60,  61,  BAD, BAD, BAD, BAD, BAD,
    BAD, BAD, 0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   10,  11,
    12,  13,  14,  15,  16,  17,  18,  19,  20,  21,  22,  23,  24,  25,
    BAD, BAD, BAD, BAD, BAD, BAD, 26,  27,  28,  29,  30,  31,  32,  33,
    34,  35,  36,  37,  38,  39,  40,  41,  42,  43,  44,  45,  46,  47,
    48,  49,  50,  51,  BAD, BAD, BAD, BAD, BAD, ROW, ROW, ROW, ROW, ROW,
    ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW
#undef ROW
};

void wrenn_base64_encode(const void *src, size_t len, char *dst) {
  const uint8_t *s = src;
  for (; len >= 3; len -= 3, s += 3) {
    *dst++ = alphabet[s[0] >> 2];
    *dst++ = alphabet[(s[0] & 3) << 4 | s[1] >> 4];
    *dst++ = alphabet[(s[1] & 15) << 2 | s[2] >> 6];
    *dst++ = alphabet[s[2] & 63];
  }
  if (len == 0)
    return;
  unsigned bits = (unsigned)s[0] << 16 | (len == 2 ? (unsigned)s[1] << 8 : 0);
  *dst++ = alphabet[bits >> 18];
  *dst++ = alphabet[bits >> 12 & 63];
  if (len == 2)
    *dst++ = alphabet[bits >> 6 & 63];
  else
    *dst++ = '=';
  *dst = '=';
}

bool wrenn_base64_decode(const char *src, size_t len, char *dst,
                         size_t *out_len) {
  const uint8_t *s = (const uint8_t *)src;
  char *start = dst;
  if (len % 4 == 0 && len >= 4 && src[len - 1] == '=')
    len -= src[len - 2] == '=' ? 2 : 1;
  if (len % 4 == 1)
    return false;
  for (; len >= 4; len -= 4, s += 4) {
    unsigned a = values[s[0]], b = values[s[1]];
    unsigned c = values[s[2]], d = values[s[3]];
    if ((a | b | c | d) & 0x80)
      return false;
    unsigned bits = a << 18 | b << 12 | c << 6 | d;
    *dst++ = (char)(bits >> 16 & 0xff);
    *dst++ = (char)(bits >> 8 & 0xff);
    *dst++ = (char)(bits & 0xff);
  }
  if (len) {
    unsigned a = values[s[0]], b = values[s[1]];
    unsigned c = len == 3 ? values[s[2]] : 0;
    if ((a | b | c) & 0x80)
      return false;
    unsigned bits = a << 18 | b << 12 | c << 6;
    *dst++ = (char)(bits >> 16 & 0xff);
    if (len == 3)
      *dst++ = (char)(bits >> 8 & 0xff);
  }
  *out_len = (size_t)(dst - start);
  return true;
}
