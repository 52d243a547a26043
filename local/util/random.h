/* Random bytes, and the ids that are made of them. Ids must not be guessed, so
 * there is no second best: where the system has no random bytes the program
 * says so and ends. */
#ifndef WRENN_LOCAL_UTIL_RANDOM_H
#define WRENN_LOCAL_UTIL_RANDOM_H

#include <stddef.h>

void random_bytes(void *bytes, size_t len);

/* Writes `count` hex digits, or as many of 0-9 and a-z, and a NUL. */
void random_hex(char *text, size_t count);
void random_id(char *text, size_t count);

#endif
