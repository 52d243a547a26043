#include "util/clock.h"

#include <stdlib.h>

void clock_text(char text[CLOCK_TEXT_SIZE], time_t when) {
  struct tm utc;
  text[0] = '\0';
  if (gmtime_r(&when, &utc))
    strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

uint64_t clock_ms(const char *variable, uint64_t usual_ms) {
  const char *text = getenv(variable);
  uint64_t ms = text ? strtoull(text, NULL, 10) : 0;
  return ms > 0 ? ms : usual_ms;
}
