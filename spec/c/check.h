/*
 * The little that the C unit tests need. A test is a function that calls
 * CHECK; a program lists its tests with CHECK_MAIN. A failed check is printed
 * and the test goes on, so that one run shows all there is to see.
 */
#ifndef WRENN_SPEC_CHECK_H
#define WRENN_SPEC_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct check_test {
  const char *name;
  void (*run)(void);
} check_test;

static int check_failures; /* of the test that is running */

static inline void check_result(bool ok, const char *file, int line,
                                const char *what, const char *row) {
  if (ok)
    return;
  check_failures++;
  printf("%s:%d: %s%s%s\n", file, line, what, *row ? ", in: " : "", row);
}

#define CHECK(cond) check_result((cond), __FILE__, __LINE__, #cond, "")

/* For tables: also prints the row, which the line number does not tell. */
#define CHECK_ROW(row, cond)                                                   \
  check_result((cond), __FILE__, __LINE__, #cond, (row))

static inline int check_main(const check_test *tests, size_t count) {
  unsigned passed = 0, failed = 0;
  /* A crash in the middle must not take with it what was printed. */
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; i < count; i++) {
    check_failures = 0;
    tests[i].run();
    printf("%s - %s\n", check_failures ? "not ok" : "ok", tests[i].name);
    *(check_failures ? &failed : &passed) += 1;
  }
  printf("%u passed, %u failed\n", passed, failed);
  return failed ? 1 : 0;
}

#define CHECK_MAIN(...)                                                        \
  int main(void) {                                                             \
    static const check_test tests[] = {__VA_ARGS__};                           \
    return check_main(tests, sizeof(tests) / sizeof(tests[0]));                \
  }

#endif
