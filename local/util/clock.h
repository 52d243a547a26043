/* Times as the API writes them, and times that tests can shorten. */
#ifndef WRENN_LOCAL_UTIL_CLOCK_H
#define WRENN_LOCAL_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_TEXT_SIZE 32

/* Writes a time as the API does: 2026-01-31T12:00:00Z. */
void clock_text(char text[CLOCK_TEXT_SIZE], time_t when);

/* Returns a time in milliseconds: the value of an environment variable, or the
 * usual one. Tests use it to wait less. */
uint64_t clock_ms(const char *variable, uint64_t usual_ms);

#endif
