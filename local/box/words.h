/* A growable command line; its words are copies. */
#ifndef WRENN_LOCAL_BOX_WORDS_H
#define WRENN_LOCAL_BOX_WORDS_H

#include <stdbool.h>
#include <stddef.h>

/* `words w = {0};` makes an empty one. */
typedef struct words {
  char **list; /* ends with NULL; NULL while empty */
  size_t count;
  size_t cap;
  bool oom; /* sticky: a word is missing */
} words;

/* Appends a copy of a word. */
void words_add(words *w, const char *word);

/* Appends several. */
#define words_add_all(w, ...)                                                  \
  words_add_list((w), (const char *const[]){__VA_ARGS__, NULL})

/* Appends a list that ends with NULL. */
void words_add_list(words *w, const char *const *list);

/* Appends formatted text as one word. */
void words_addf(words *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Runs a program with these words to its end, without its standard error if it
 * is to be quiet. Returns whether it succeeds. */
bool words_run(const words *w, const char *program, bool quiet);

/* Frees the words and leaves an empty list. */
void words_free(words *w);

#endif
