/* Which server wrenn-local behaves like. */
#ifndef WRENN_LOCAL_GENERATION_H
#define WRENN_LOCAL_GENERATION_H

#include <stdbool.h>

/* In order: a later one is compared with >=. */
typedef enum generation {
  GENERATION_0_1,
  GENERATION_0_2,
  GENERATION_0_2_2,
  GENERATION_0_3,
  GENERATION_0_4
} generation;

/* Reads "0.1", "0.2", "0.2.2", "0.3" or "0.4"; false for anything else. */
bool generation_parse(const char *text, generation *g);

/* The version that GET /health reports, as "0.2.0". */
const char *generation_version(generation g);

#endif
