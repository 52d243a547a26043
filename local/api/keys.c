#include "api/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/random.h"

const char *keys_add(keys *k, const char *key) {
  if (!*key || strlen(key) > KEY_MAX)
    return "the API key must have 1 to 100 characters";
  for (int i = 0; i < k->count; i++)
    if (strcmp(k->list[i], key) == 0)
      return "an API key is given twice";
  if (k->count == TEAMS_MAX)
    return "there are too many API keys";
  memcpy(k->list[k->count++], key, strlen(key) + 1);
  return NULL;
}

const char *keys_read(keys *k, const char *path) {
  FILE *file = fopen(path, "re");
  const char *wrong = NULL;
  char *line = NULL;
  size_t size = 0;
  int before = k->count;
  if (!file)
    return strerror(errno);
  while (!wrong && getline(&line, &size, file) > 0) {
    line[strcspn(line, "\r\n")] = '\0';
    if (*line)
      wrong = keys_add(k, line);
  }
  free(line);
  fclose(file);
  return wrong || k->count > before ? wrong : "it holds no API key";
}

void keys_make(keys *k) {
  strcpy(k->made, "wrn_");
  random_hex(k->made + 4, sizeof(k->made) - 5);
  keys_add(k, k->made);
}
