#include "util/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *bytes, size_t len) {
  if (getrandom(bytes, len, 0) == (ssize_t)len)
    return;
  perror("wrenn-local: no random bytes");
  abort();
}

/* If 256 is not a multiple of the base, some digits are slightly more likely
 * than others. The ids are long enough for that not to matter. */
static void put_digits(char *text, size_t count, unsigned base) {
  static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  for (size_t i = 0; i < count; i++) {
    unsigned char byte;
    random_bytes(&byte, 1);
    text[i] = digits[byte % base];
  }
  text[count] = '\0';
}

void random_hex(char *text, size_t count) { put_digits(text, count, 16); }

void random_id(char *text, size_t count) { put_digits(text, count, 36); }
