/* Times: as the API writes them, and as tests shorten them. */
#ifndef WRENN_LOCAL_UTIL_CLOCK_H
#define WRENN_LOCAL_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_TEXT_SIZE 32

/* Writes a time as the API does: 2026-01-31T12:00:00Z. */
void clock_text(char text[CLOCK_TEXT_SIZE], time_t when);

/* A time that a variable of the environment may change, in milliseconds:
 * tests cannot wait for as long as it usually is. */
uint64_t clock_ms(const char *variable, uint64_t usual_ms);

#endif
