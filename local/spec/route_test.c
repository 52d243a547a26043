/* Paths against patterns, and their percent-decoding. */
#include "http/route.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static bool same(const route_value *value, const char *want) {
  return want ? value->text && value->len == strlen(want) &&
                    memcmp(value->text, want, value->len) == 0
              : !value->text;
}

static void matches(void) {
  static const struct {
    const char *pattern, *path;
    const char *first, *second; /* NULL: the pattern has no such value */
  } rows[] = {
      {"/", "/", NULL, NULL},
      {"/v1/capsules", "/v1/capsules", NULL, NULL},
      {"/v1/capsules", "/v1/capsules?limit=1", NULL, NULL},
      {"/v1/capsules", "/v1/capsules?", NULL, NULL},
      {"/v1/capsules/:", "/v1/capsules/sb-1", "sb-1", NULL},
      {"/v1/capsules/:", "/v1/capsules/sb-1?x=/y", "sb-1", NULL},
      {"/v1/capsules/:", "/v1/capsules/a%2Fb", "a%2Fb", NULL},
      {"/v1/capsules/:/exec", "/v1/capsules/sb-1/exec", "sb-1", NULL},
      {"/v1/capsules/:/exec", "/v1/capsules/:/exec?a?b", ":", NULL},
      {"/c/:/p/:", "/c/1/p/2", "1", "2"},
      {"/c/:/p/:/s", "/c/one/p/two/s?three", "one", "two"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    route_value values[ROUTE_VALUES] = {{NULL, 0}, {NULL, 0}};
    CHECK_ROW(rows[i].path, route_match(rows[i].pattern, rows[i].path, values));
    CHECK_ROW(rows[i].path, same(&values[0], rows[i].first));
    CHECK_ROW(rows[i].path, same(&values[1], rows[i].second));
  }
}

static void does_not_match(void) {
  static const struct {
    const char *pattern, *path;
  } rows[] = {
      {"/", ""},
      {"/", "?"},
      {"/a", "/"},
      {"/a", "/b"},
      {"/a", "/A"},
      {"/a", "/a/"},
      {"/a", "/ab"},
      {"/a", "a"},
      {"/a", "//a"},
      {"/ab", "/a"},
      {"/ab", "/a?b"},
      {"/ab", "/a%62"},
      {"/c/:", "/c/"},
      {"/c/:", "/c"},
      {"/c/:", "/c/?x"},
      {"/c/:", "/c//"},
      {"/c/:", "/c/1/"},
      {"/c/:", "/c/1/2"},
      {"/c/:/exec", "/c//exec"},
      {"/c/:/exec", "/c/1"},
      {"/c/:/exec", "/c/1/exe"},
      {"/c/:/exec", "/c/1/execs"},
      {"/c/:/exec", "/c/1?/exec"},
      {"/c/:/exec", "/c/1/2/exec"},
      {"/:/:/:", "/1/2/3"}, /* more values than there is room for */
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    route_value values[ROUTE_VALUES];
    CHECK_ROW(rows[i].path,
              !route_match(rows[i].pattern, rows[i].path, values));
  }
}

static void lies_below(void) {
  static const struct {
    const char *prefix, *path;
    bool below;
  } rows[] = {
      {"/v1", "/v1", true},       {"/v1", "/v1/", true},
      {"/v1", "/v1/a/b", true},   {"/v1", "/v1?x", true},
      {"/v1", "/v10", false},     {"/v1", "/v", false},
      {"/v1", "/", false},        {"/v1", "", false},
      {"/v1", "/V1/a", false},    {"/v1", "/a/v1", false},
      {"/v1/a", "/v1?/a", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    CHECK_ROW(rows[i].path,
              route_below(rows[i].prefix, rows[i].path) == rows[i].below);
}

/* Decodes from memory that ends with the value: it has no NUL behind it. */
static char *decode(const char *text, size_t len) {
  char *copy = malloc(len ? len : 1);
  memcpy(copy, text, len);
  char *decoded = route_decode(&(route_value){copy, len});
  free(copy);
  return decoded;
}

static void decodes(void) {
  static const struct {
    const char *text, *want; /* NULL: refused */
  } rows[] = {
      {"", ""},
      {"plain", "plain"},
      {"a+b", "a+b"},
      {"%41", "A"},
      {"%2F", "/"},
      {"%2f%2F", "//"},
      {"a%20b", "a b"},
      {"%25", "%"},
      {"%2541", "%41"},
      {"%01%10%ff%FF%aA", "\x01\x10\xff\xff\xaa"},
      {"%C3%A9", "\xc3\xa9"},
      {"\xc3\xa9", "\xc3\xa9"},
      {"x%7e", "x~"},
      {"%00", NULL},
      {"a%00b", NULL},
      {"%", NULL},
      {"a%", NULL},
      {"%4", NULL},
      {"a%4", NULL},
      {"%%", NULL},
      {"%%41", NULL},
      {"%zz", NULL},
      {"%4g", NULL},
      {"%g4", NULL},
      {"% 4", NULL},
      {"%-1", NULL},
      {"%+1", NULL},
      {"%0x", NULL},
      {"%4%41", NULL},
      {"%u0041", NULL},
      {"%@1", NULL},
      {"%\x01\x02", NULL},
      {"%\xc1\xc1", NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char *got = decode(rows[i].text, strlen(rows[i].text));
    CHECK_ROW(rows[i].text,
              rows[i].want ? got && !strcmp(got, rows[i].want) : got == NULL);
    free(got);
  }
}

/* A value is decoded only where all of the path is escaped as Go escapes. */
static void takes_as_go_does(void) {
  static const struct {
    const char *path, *want;
  } rows[] = {
      {"/a%20b", "a b"},       {"/a:b", "a:b"},         {"/a%3Ab", "a%3Ab"},
      {"/%28%29", "()"},       {"/()", "()"},           {"/(%29", "(%29"},
      {"/%c3%a4", "%c3%a4"},   {"/%C3%A4", "\xc3\xa4"}, {"/a%20b?x=%3A", "a b"},
      {"/$&+,;=@", "$&+,;=@"}, {"/%2F", "%2F"},         {"/%41", "%41"},
      {"/-_.~%25", "-_.~%"},   {"/%0A", "\n"},          {"/a%2", NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *path = rows[i].path;
    char *got =
        route_take(path, &(route_value){path + 1, strcspn(path + 1, "?")});
    CHECK_ROW(path, rows[i].want ? got && !strcmp(got, rows[i].want) : !got);
    free(got);
  }
}

/* An escape that the segment's end cuts is no escape, whatever follows. */
static void stays_in_the_value(void) {
  static const char path[] = "a%41b";
  static const struct {
    size_t len;
    const char *want;
  } rows[] = {{0, ""}, {1, "a"}, {2, NULL}, {3, NULL}, {4, "aA"}, {5, "aAb"}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char *got = route_decode(&(route_value){path, rows[i].len});
    CHECK(rows[i].want ? got && !strcmp(got, rows[i].want) : got == NULL);
    free(got);
    got = decode(path, rows[i].len);
    CHECK(rows[i].want ? got && !strcmp(got, rows[i].want) : got == NULL);
    free(got);
  }
}

static void decodes_a_query(void) {
  static const struct {
    const char *text, *want;
  } rows[] = {{"", ""},       {"a+b", "a b"}, {"++", "  "}, {"a%2Bb", "a+b"},
              {"%2b+", "+ "}, {"+%00", NULL}, {"+%", NULL}, {"%+1", NULL}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *want = rows[i].want;
    char *got =
        route_decode_query(&(route_value){rows[i].text, strlen(rows[i].text)});
    CHECK_ROW(rows[i].text, want ? got && !strcmp(got, want) : got == NULL);
    free(got);
  }
}

CHECK_MAIN({"matches", matches}, {"does not match", does_not_match},
           {"lies below", lies_below}, {"decodes", decodes},
           {"takes as Go does", takes_as_go_does},
           {"decodes a query", decodes_a_query},
           {"stays in the value", stays_in_the_value})
