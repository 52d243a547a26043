/* Random bytes, and ids made of them. Ids must not be guessed, so there is no
 * fallback: if the system has no random bytes, the program prints an error and
 * aborts. */
#ifndef WRENN_LOCAL_UTIL_RANDOM_H
#define WRENN_LOCAL_UTIL_RANDOM_H

#include <stddef.h>

void random_bytes(void *bytes, size_t len);

/* Writes `count` hex digits (or digits of 0-9 and a-z) and a NUL. */
void random_hex(char *text, size_t count);
void random_id(char *text, size_t count);

#endif
