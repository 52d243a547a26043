#include "box/words.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Takes ownership of the word; NULL means that an allocation has failed. */
static void take(words *w, char *word) {
  if (word && w->count + 2 > w->cap) {
    size_t cap = w->cap ? 2 * w->cap : 64;
    char **list = realloc(w->list, cap * sizeof(*list));
    if (list) {
      w->list = list;
      w->cap = cap;
    } else {
      free(word);
      word = NULL;
    }
  }
  if (!word) {
    w->oom = true;
    return;
  }
  w->list[w->count++] = word;
  w->list[w->count] = NULL;
}

void words_add(words *w, const char *word) { take(w, strdup(word)); }

void words_add_list(words *w, const char *const *list) {
  for (; *list; list++)
    words_add(w, *list);
}

void words_addf(words *w, const char *format, ...) {
  va_list args;
  char *word;
  va_start(args, format);
  if (vasprintf(&word, format, args) < 0)
    word = NULL;
  va_end(args);
  take(w, word);
}

bool words_run(const words *w, const char *program, bool quiet) {
  int status = -1;
  pid_t child = w->oom ? -1 : fork();
  if (child == 0) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (quiet && null >= 0)
      dup2(null, STDERR_FILENO);
    execv(program, w->list);
    _exit(127);
  }
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

void words_free(words *w) {
  for (size_t i = 0; i < w->count; i++)
    free(w->list[i]);
  free(w->list);
  *w = (words){0};
}
