#include "generation.h"

#include <stddef.h>
#include <string.h>

static const struct {
  const char *name, *version;
} known[] = {
    [GENERATION_0_1] = {"0.1", "0.1.5"},
    [GENERATION_0_2] = {"0.2", "0.2.0"},
    [GENERATION_0_2_2] = {"0.2.2", "0.2.2"},
    [GENERATION_0_3] = {"0.3", "0.3.0"},
    [GENERATION_0_4] = {"0.4", "0.4.0"},
};

bool generation_parse(const char *text, generation *g) {
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (strcmp(known[i].name, text) == 0) {
      *g = (generation)i;
      return true;
    }
  return false;
}

const char *generation_version(generation g) { return known[g].version; }
